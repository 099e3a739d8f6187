"""One connection to a backend, and how its answers are read.

An Upstream carries one Leg at a time: the request it was started with and the object that wants the answer. It tells the leg
once per read (`on_answer`), when the answer is complete (`complete`), and when it ends early (`on_broken`).
"""

import asyncio
from typing import Protocol, cast

import httptools

from modelctl import evidence
from modelctl.endpoint import Endpoint
from modelctl.router.clock import Clock
from modelctl.router.head import CODING, CONNECTION, ENCODING, KEEP, LENGTH, TYPE, answer_field

HIGH_WATER = 65_536
MAX_HEAD = 65_536
_LINE_ENDS = b"\r\n"
_BODYLESS = (204, 304)


class _UnknownCodingError(Exception):
    """Ends the parsing of an answer in a transfer coding other than chunked."""


class _HeadTooLargeError(Exception):
    """Ends the parsing of an answer whose head is over the limit."""


class Leg(Protocol):
    """One request on its way to one backend."""

    head_only: bool
    complete: bool

    def on_connected(self, upstream: "Upstream") -> None:
        """A connection is there: send the request."""

    def on_answer(self, upstream: "Upstream") -> None:
        """More of the answer is there: new lines or `parts`; `upstream.complete` says whether it is all."""

    def on_broken(self, failure: str) -> None:
        """There will be no complete answer; `failure` is one of evidence's."""

    def pause(self) -> None:
        """The connection cannot take more of the request until `resume`."""

    def resume(self) -> None:
        """The connection takes more of the request again."""


class Owner(Protocol):
    """Where connections come from and go back to."""

    endpoint: Endpoint

    def on_free(self, upstream: "Upstream", *, reusable: bool) -> None:
        """The connection has no leg any more."""

    def on_lost(self, upstream: "Upstream") -> None:
        """The connection is closed."""


class Upstream:
    """See the module. `lines` are the answer's field lines without hop-by-hop ones and without CR LF; `parts` the body bytes
    since the last call.

    An asyncio protocol by its methods, not by inheritance: compiled classes have no interpreted parents.
    """

    transport: asyncio.Transport
    deadline = 0.0
    idle_since = 0.0
    closing = False
    _held = False
    _unasked = False
    _last = False  # no further answer will come on this connection
    _raw = b""  # what came of a head that is not whole yet
    _interim = False

    def __init__(self, owner: Owner, clock: Clock, *, timeouts: tuple[float, float]) -> None:
        """The first byte of an answer must come within `timeouts[0]` seconds, each further read within `timeouts[1]`."""
        self.owner = owner
        self.clock = clock
        self.leg: Leg | None = None
        self._timeout, self._idle_timeout = timeouts
        self._reset()
        self._parser = httptools.HttpResponseParser(self)

    def _reset(self) -> None:
        self.status = 0
        self.lines: list[bytes] = []
        self.parts: list[bytes] = []
        self.length = self.coding = self.connection = self.type = self.encoding = self._raw = b""
        self.head_complete = self.complete = False

    # -- life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)

    def start(self, leg: Leg) -> None:
        """Carry `leg` now."""
        self.leg = leg
        self.deadline = self.clock.now + self._timeout
        leg.on_connected(self)

    def extend(self) -> None:
        """More of the request goes out: the time for the answer begins anew."""
        if not self.head_complete:
            self.deadline = self.clock.now + self._timeout

    def release(self) -> None:
        """The leg is done with a complete answer: back to the pool, or closed when the connection cannot be used again."""
        reusable = self._reusable()
        if self._held:
            self.unhold()
        self.leg = None
        self._reset()
        self.owner.on_free(self, reusable=reusable)

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
        self.leg = None
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
            if error is None and self.head_complete and self._until_closed():
                self.complete = True
                self.leg.on_answer(self)
            else:
                self._break(evidence.TRUNCATED if self.head_complete else evidence.RESET)

    def eof_received(self) -> bool:
        """False: the backend has sent all it will, so the connection is closed."""
        return False

    def _break(self, failure: str) -> None:
        leg = self.leg
        if leg is not None:
            self.leg = None
            self.owner.on_free(self, reusable=False)
            leg.on_broken(failure)

    def _until_closed(self) -> bool:
        """Whether the answer's body ends where the connection does (RFC 9112 6.3)."""
        if self.length or self.coding or self.status in _BODYLESS:
            return False
        return self.leg is None or not self.leg.head_only

    def _reusable(self) -> bool:
        return not (self.closing or self._unasked or self._last or self._until_closed())

    # -- bytes

    def data_received(self, data: bytes) -> None:
        leg = self.leg
        if leg is None:
            self.close()
            return
        if not self.head_complete:
            self._raw = self._raw + data if self._raw else data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._break(evidence.TRUNCATED if self.head_complete else evidence.INVALID)
            return
        if self.complete:
            leg.on_answer(self)
        elif self.head_complete:
            self.deadline = self.clock.now + self._idle_timeout
            leg.on_answer(self)
            self.parts = []
        elif len(self._raw) > MAX_HEAD:
            self._break(evidence.INVALID)

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
        if self._raw[0] in _LINE_ENDS:  # llhttp skips blank lines before an answer
            self._raw = self._raw.lstrip(_LINE_ENDS)
        end = self._raw.find(b"\r\n\r\n")
        if end > MAX_HEAD:
            raise _HeadTooLargeError
        if status < 200:
            self._interim = True
            self._raw = self._raw[end + 4 :]
            return
        self.status = status
        self._read_fields(self._raw[:end].split(b"\r\n"))
        self.head_complete = True
        self._raw = b""
        leg = self.leg
        if leg is not None and leg.head_only:
            # llhttp cannot know that the answer to HEAD has no body: the message is over here, and so is this parser.
            self.complete = True
            self._last = not self._parser.should_keep_alive()
            self._parser = httptools.HttpResponseParser(self)

    def _read_fields(self, head: list[bytes]) -> None:
        """The lines behind the status line. llhttp has checked them: one field a line, each ended by CR LF, no folding."""
        kept = self.lines
        for number in range(1, len(head)):
            line = head[number]
            field = answer_field(line)
            use = field.use
            if use & KEEP:
                kept.append(line)
            if use == LENGTH:
                self.length = field.value
            elif use == TYPE:
                self.type = field.value
            elif use == ENCODING:
                self.encoding = field.value
            elif use == CONNECTION:
                self.connection = field.value if not self.connection else self.connection + b"," + field.value
            elif use == CODING:
                self._read_coding(field.value)

    def _read_coding(self, value: bytes) -> None:
        if self.coding or value.lower() != b"chunked":
            raise _UnknownCodingError  # forwarded without it, the body would not be what it says (RFC 9112 6.1)
        self.coding = value

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
            self._last = not self._parser.should_keep_alive()
