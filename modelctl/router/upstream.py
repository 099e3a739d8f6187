"""One connection to a backend, and how its answers are read.

An Upstream carries one Leg at a time: the request it was started with and the object that wants the answer. It tells the leg
once per read (`on_answer`), when the answer is complete (`complete`), and when it ends early (`on_broken`).
"""

import asyncio
import ssl
from time import perf_counter
from typing import Protocol, cast

import httptools

from modelctl import evidence
from modelctl.endpoint import Endpoint
from modelctl.router.answer_head import BODYLESS, NO_ANSWER, PLAIN_CODINGS, AnswerHead, HeadTooLargeError, without_blank_lines
from modelctl.router.clock import Clock
from modelctl.router.events import EventScan
from modelctl.router.hold import limit_reading
from modelctl.router.interim import EARLY_HINTS, SWITCHING, Interims, early_hints
from modelctl.router.trailers import TrailerParser
from modelctl.router.watch import Watch

HIGH_WATER = 65_536
MAX_HEAD = 65_536
_MAX_KNOWN = 1_024  # bytes of a head that is remembered


class Leg(Protocol):
    """One request on its way to one backend. `switches` says that it asked for another protocol, `trailers` that it wants those."""

    head_only: bool
    complete: bool
    switches: bool
    trailers: bool

    def on_connected(self, upstream: "Upstream") -> None:
        """A connection is there: send the request."""

    def on_hints(self, data: bytes) -> None:
        """A 103 came, ready for a client."""

    def on_switched(self, upstream: "Upstream", rest: bytes) -> None:
        """A 101 came that was asked for: `rest` and what follows is no HTTP any more."""

    def on_answer(self, upstream: "Upstream") -> None:
        """More of the answer is there: new lines or `parts`; `upstream.complete` says whether it is all."""

    def on_broken(self, failure: str) -> None:
        """There will be no complete answer; `failure` is one of evidence's."""

    def pause(self) -> None:
        """The connection cannot take more of the request until `resume`."""

    def resume(self) -> None:
        """The connection takes more of the request again."""


class Owner(Protocol):
    """Where connections come from and go back to. `watch` is told what becomes of each request, unless it is None."""

    endpoint: Endpoint
    host: bytes  # the Host field of every request, or b"" for the client's
    watch: Watch | None

    def on_free(self, upstream: "Upstream", *, reusable: bool) -> None:
        """The connection has no leg any more."""

    def on_lost(self, upstream: "Upstream") -> None:
        """The connection is closed."""


class Upstream:
    """See the module. `parts` are the body bytes since the last call.

    llhttp reads heads and chunked bodies. A head that is the one before it on this connection, byte for byte, means the same and is
    not read again; a body of known length is counted and passes by the parser.

    An asyncio protocol by its methods, not by inheritance: compiled classes have no interpreted parents.
    """

    transport: asyncio.Transport
    deadline = 0.0
    idle_since = 0.0
    closing = False
    address = ""
    spent = False  # its address is not the endpoint's any more: not used again
    _began = 0.0
    used = False  # it has carried an answer
    _held = False
    _unasked = False
    _raw = b""  # what came of a head that is not whole yet
    _interim = False
    _unusual = False  # the exchange had something of what follows
    _interims: Interims | None = None
    events: EventScan | None = None  # looks for the first event of the answer
    trailers: list[bytes] | None = None  # lines to forward; None when nobody wants any
    _known: AnswerHead | None = None  # the last head, when the next may be the same
    _left = 0  # bytes of a body that passes by the parser
    _behind = False  # the parser has seen the head of such an answer and not its end
    _ended = False  # the backend has said that it sends no more

    def __init__(self, owner: Owner, clock: Clock, *, timeouts: tuple[float, float]) -> None:
        """The first byte of an answer must come within `timeouts[0]` seconds, each further read within `timeouts[1]`."""
        self.owner = owner
        self.clock = clock
        self.leg: Leg | None = None
        self._watch = owner.watch
        self._timeout, self._idle_timeout = timeouts
        self._reset()
        self._parser: httptools.HttpResponseParser | TrailerParser = httptools.HttpResponseParser(self)

    def _reset(self) -> None:
        self.answer = NO_ANSWER
        self.parts: list[bytes] = []
        self.head_complete = self.complete = False

    # -- life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        limit_reading(self.transport)

    def start(self, leg: Leg) -> None:
        """Carry `leg` now."""
        self.leg = leg
        self.deadline = self.clock.now + self._timeout
        if self._watch is not None:
            self._began = perf_counter()
        if leg.trailers:
            self._unusual = True
            self.trailers = []
            self._parser = TrailerParser(self)
        leg.on_connected(self)

    def extend(self) -> None:
        """More of the request goes out: the time for the answer begins anew."""
        if not self.head_complete:
            self.deadline = self.clock.now + self._timeout
            if self._watch is not None:
                self._began = perf_counter()

    def release(self) -> None:
        """The leg is done with a complete answer: back to the pool, or closed when the connection cannot be used again."""
        reusable = self._reusable()
        if self._watch is not None:
            self._watch.on_end(self.answer.status)
        if self._held:
            self.unhold()
        self.leg = None
        self.used = True
        self._reset()
        if self._unusual:
            self._forget_the_unusual()
        self.owner.on_free(self, reusable=reusable)

    def _forget_the_unusual(self) -> None:
        self._unusual = False
        self._interims = self.events = None
        if self.trailers is not None:
            self.trailers = None
            self._parser = httptools.HttpResponseParser(self)

    def hold(self) -> None:
        """Read no more of the answer: the client cannot take it."""
        if not self._held and not self.closing:
            self._held = True
            self.transport.pause_reading()

    def unhold(self) -> None:
        """Read on."""
        if self._held and not self.closing:
            self._held = False
            self.transport.resume_reading()

    def abandon(self) -> None:
        """The leg does not want the rest: the connection cannot be used again."""
        leg, self.leg = self.leg, None
        if self._watch is not None:
            self._on_left(self._watch, leg)
        self.owner.on_free(self, reusable=False)

    def close(self) -> None:
        """Closes it at once; what is unsent is dropped."""
        if not self.closing:
            self.closing = True
            self.transport.abort()

    def expired(self) -> None:
        """The deadline has passed. The backend is not to blame for a client that does not read its answer or send its request."""
        leg = self.leg
        if self._held:
            self._break(evidence.CLIENT_GONE)
        elif self.head_complete:
            self._break(evidence.TRUNCATED)
        elif leg is not None and not leg.complete and not self.transport.get_write_buffer_size():
            self.extend()
        else:
            self._break(evidence.TIMEOUT)

    def connection_lost(self, error: Exception | None) -> None:
        self.closing = True
        self.owner.on_lost(self)
        if self.leg is not None:
            if self._ended and error is None and self.head_complete and self._until_closed():
                self.complete = True
                self.leg.on_answer(self)
            elif self.head_complete:
                self._break(evidence.TRUNCATED)
            else:  # a server that wants another certificate of ours says so only after its own handshake (RFC 8446 4.4.2)
                self._break(evidence.TLS if isinstance(error, ssl.SSLError) else evidence.RESET)

    def eof_received(self) -> bool:
        """False: the backend has sent all it will, so the connection is closed. An idle one is not used again from now on.

        Over TLS only its close_notify says so: a bare end of the connection may be an attacker's (RFC 9112 9.8).
        """
        self._ended = True
        if self.leg is None:
            self.owner.on_lost(self)
            self.close()
        return False

    def _break(self, failure: str) -> None:
        leg = self.leg
        if leg is not None:
            self.leg = None
            watch = self._watch
            if watch is not None and failure == evidence.CLIENT_GONE:
                self._on_left(watch, leg)
            elif watch is not None and not (self.head_complete and self.answer.status >= 500):
                watch.on_broken(self._began)
            self.owner.on_free(self, reusable=False)
            leg.on_broken(failure)

    def _on_left(self, watch: Watch, leg: Leg | None) -> None:
        """Nobody wants the answer any more. Before its head that says something only where the whole request had been sent."""
        if self.head_complete:
            watch.on_end(self.answer.status)
        elif leg is not None and leg.complete:
            watch.on_left(self._began)

    @property
    def silent(self) -> bool:
        """Whether not a byte of the answer has come."""
        return not (self.head_complete or self._raw or self._interims)

    def _until_closed(self) -> bool:
        """Whether the answer's body ends where the connection does (RFC 9112 6.3)."""
        return self.answer.until_closed and (self.leg is None or not self.leg.head_only)

    def _reusable(self) -> bool:
        return not (self.closing or self._unasked or self.answer.last or self.spent or self._until_closed())

    # -- bytes

    def data_received(self, data: bytes) -> None:
        leg = self.leg
        if leg is None:
            self.close()
            return
        if self._left:
            self._pass_by(data)
        elif self.head_complete or self._raw or not self._repeated(data, leg):
            self._parse(data)
        if self.complete:
            leg.on_answer(self)
        elif self.head_complete and self.leg is not None:
            self.deadline = self.clock.now + self._idle_timeout
            leg.on_answer(self)
            self.parts = []

    def _repeated(self, data: bytes, leg: Leg) -> bool:
        """Whether `data` begins with the head of the answer before it, and holds no more than this answer."""
        known = self._known
        if known is None or leg.head_only or not data.startswith(known.raw):
            return False
        start = len(known.raw)
        left = known.size - len(data) + start
        if left < 0:
            return False
        self.answer = known
        self.head_complete = True
        if self._watch is not None:
            self._watch.on_head(self._began, known.status, lines=known.lines)
        if len(data) > start:
            self.parts.append(data[start:])
        self._left = left
        self.complete = left == 0
        return True

    def _pass_by(self, data: bytes) -> None:
        if len(data) > self._left:
            self._unasked = True
            data = data[: self._left]
        self.parts.append(data)
        self._left -= len(data)
        if not self._left:
            self.complete = True
            if self._behind:
                self._behind = False
                self._parser = httptools.HttpResponseParser(self)

    def _parse(self, data: bytes) -> None:
        if not self.head_complete:
            self._raw = self._raw + data if self._raw else data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as stop:
            if not self.complete:
                self._on_stop(stop, data)
                return
            self._unasked = True  # the answer is whole: what is wrong came behind it
        answer = self.answer
        if not self.head_complete:
            if len(self._raw) > MAX_HEAD:
                self._break(evidence.INVALID)
        elif not self.complete and answer.size > 0:
            self._left = answer.size - sum(map(len, self.parts))
            self._behind = True

    def _on_stop(self, stop: Exception, data: bytes) -> None:
        """The parser reads no further."""
        leg = self.leg
        if leg is not None and self.answer.status == SWITCHING and isinstance(stop, httptools.HttpParserUpgrade):
            leg.on_switched(self, data[stop.args[0] :])
        else:
            self._break(evidence.TRUNCATED if self.head_complete else evidence.INVALID)

    def pause_writing(self) -> None:
        if self.leg is not None:
            self.leg.pause()

    def resume_writing(self) -> None:
        if self.leg is not None:
            self.leg.resume()

    # -- what the parser finds

    def on_headers_complete(self) -> None:
        if self.complete:
            self._unasked = True
            return
        status = self._parser.get_status_code()
        if self._raw[:7] != b"HTTP/1.":
            self._raw = without_blank_lines(self._raw)
        end = self._raw.find(b"\r\n\r\n")
        if end > MAX_HEAD:
            raise HeadTooLargeError
        if status < 200:
            self._on_interim(status, end)
            return
        fresh = self._raw
        self._raw = b""
        answer = self.answer = AnswerHead(status, fresh[:end].split(b"\r\n"), last=not self._parser.should_keep_alive())
        self.head_complete = True
        if self._watch is not None:
            self._watch.on_head(self._began, status, lines=answer.lines)
        leg = self.leg
        if leg is not None and leg.head_only:
            # llhttp cannot know that the answer to HEAD has no body: the message is over here, and so is this parser.
            self.complete = True
            self._parser = httptools.HttpResponseParser(self)
        elif answer.events and answer.encoding in PLAIN_CODINGS:
            self._unusual = True
            self.events = EventScan()
        elif answer.size >= 0 and not answer.last and status not in BODYLESS and end < _MAX_KNOWN:
            answer.raw = fresh[: end + 4]
            self._known = answer

    def _on_interim(self, status: int, end: int) -> None:
        """The answer itself is yet to come, or HTTP ends here."""
        head = self._raw[:end]
        self._raw = self._raw[end + 4 :]
        self._interim = self._unusual = True
        leg = self.leg
        self._interims = self._interims or Interims()
        interim = self._interims.add(head, status, switches=leg is not None and leg.switches)
        if leg is not None and status == EARLY_HINTS:
            leg.on_hints(early_hints(interim))
        elif status == SWITCHING:
            self.answer = AnswerHead(SWITCHING, head.split(b"\r\n"), last=True)
            if self._watch is not None:
                self._watch.on_head(self._began, SWITCHING, lines=self.answer.lines)

    def on_body(self, data: bytes) -> None:
        if self.complete:
            self._unasked = True
        else:
            self.parts.append(data)

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
        elif not self.complete:
            self.complete = True
