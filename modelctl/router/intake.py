"""What a client sends, made into exchanges: heads, bodies, and where they end.

llhttp reads every head that is new and every chunked body. A request whose head came before, byte for byte, and whose body is
all there needs no second reading: the same bytes at the start of a message mean the same. A body of known length that goes on in
later reads is counted and passed by the parser.
"""

from typing import Protocol

import httptools

from modelctl.router.exchange import Client, Exchange
from modelctl.router.guard import check_head, check_limits
from modelctl.router.head import REQUEST_RULES, RequestHead
from modelctl.router.interim import asks_for_tunnel
from modelctl.router.rawbytes import RawRead
from modelctl.router.refusal import Refusal
from modelctl.settings import Settings

_CHUNK_OVERHEAD = 16  # bytes of chunk framing a body may have per byte of its own; one-byte chunks need 5
_MAX_KNOWN = 1_024
_MAX_KNOWN_BYTES = 1_024  # of one head: what is remembered is bounded
_HEAD_END = b"\r\n\r\n"


class KnownHeads:
    """Heads that were read and found good, by their bytes. Clients send the same ones again and again. Cleared when full."""

    def __init__(self) -> None:
        self._heads: dict[bytes, RequestHead] = {}

    def find(self, data: bytes) -> RequestHead | None:
        """The head at the start of `data`."""
        end = data.find(_HEAD_END)
        return self._heads.get(data[: end + 4]) if 0 < end < _MAX_KNOWN_BYTES else None

    def remember(self, head: RequestHead, data: bytes) -> None:
        """`head` stands at the start of `data`. What says something about one request alone does not come again."""
        end = data.find(_HEAD_END)
        once = head.request_id or head.traceparent or head.forwarded or head.expects or head.upgrade or head.trailers or head.last
        if once or head.codings is not None or end >= _MAX_KNOWN_BYTES or data[0] in _HEAD_END:
            return
        if len(self._heads) >= _MAX_KNOWN:
            self._heads.clear()
        head.raw = data[: end + 4]
        self._heads[head.raw] = head


class Receiver(Client, Protocol):
    """The connection, as its intake sees it."""

    def expect(self, seconds: float) -> None:
        """The next bytes must come within `seconds`; 0: nothing is owed."""

    def on_begin(self) -> None:
        """The first bytes of a head are there."""

    def on_head(self, exchange: Exchange) -> None:
        """A request has begun: its head is there, or a refusal of it."""

    def on_upgrade(self, rest: bytes) -> None:
        """The request that arrived last asks for another protocol: nothing behind it, `rest` first, is parsed until its answer."""

    def on_spoiled(self, exchange: Exchange, refusal: Refusal) -> None:
        """The body that is being forwarded went wrong."""


class Intake:
    """See the module. `incoming` is the request that is arriving or arrived last, until it is answered."""

    incoming: Exchange | None = None
    in_head = False
    _last: RequestHead | None = None
    _head_bytes = 0  # of the head that is arriving, in earlier reads
    _before_head = 0
    _fresh = False  # this read begins with a head
    _left = 0  # bytes of a body that passes by the parser

    def __init__(self, connection: Receiver, settings: Settings, *, known: KnownHeads) -> None:
        self._connection = connection
        self._settings = settings
        self._known = known
        self._head = RequestHead()
        self._raw = RawRead()
        self.on_chunk_header = self._raw.on_chunk_header
        self.on_chunk_complete = self._raw.on_chunk_complete
        self._parser = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> None:
        """Take over what came in one read."""
        if self.incoming is None and not self.in_head:
            if not self._raw.blank and self._repeated(data):
                return
            self._fresh = True
        elif self._left:
            data = self._pass_by(data)
            if not data:
                return
        self._parse(data)

    @property
    def asked(self) -> bool:
        """Whether a head has come on this connection."""
        return self._last is not None or self._head.method != b""

    def _repeated(self, data: bytes) -> bool:
        """Whether `data` is one whole request whose head is known."""
        head = self._last
        if head is None or not data.startswith(head.raw):
            head = self._last = self._known.find(data)
            if head is None:
                return False
        start = len(head.raw)
        if len(data) - start != (head.length or 0):
            return False
        exchange = self.incoming = Exchange(self._connection, head)
        if head.length:
            exchange.on_body(data[start:])
        exchange.complete = True
        self._connection.expect(0.0)
        self._connection.on_head(exchange)
        return True

    def _pass_by(self, data: bytes) -> bytes:
        """Body bytes that need no parser; what is behind them."""
        body = data if len(data) <= self._left else data[: self._left]
        self._left -= len(body)
        self.on_body(body)
        if self._left:
            return b""
        self._parser = httptools.HttpRequestParser(self)  # the old one still waits for the body
        self.on_message_complete()
        return data[len(body) :]

    def _parse(self, data: bytes) -> None:
        in_head = self.in_head
        incoming = self.incoming
        try:
            self._raw.take(data, between=not in_head and (incoming is None or incoming.complete))
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The request asked for another protocol and has no body. What the bytes behind it are, its answer will tell.
            self._parser = httptools.HttpRequestParser(self)
            self._connection.on_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._on_bad_bytes()
        self._fresh = False
        if self.in_head:
            self._on_partial_head(data, began=not in_head)
        incoming = self.incoming
        if self._raw.chunk >= 0 and incoming is not None and not incoming.done:
            refusal = self._raw.check_chunk(incoming.size, self._settings.max_body_bytes)
            if refusal is not None:
                self._spoil(incoming, refusal)
        self._raw.data = b""
        if incoming is not None and not incoming.complete and incoming.head.length is not None:
            self._left = max(0, incoming.head.length - incoming.size)

    def _on_partial_head(self, data: bytes, *, began: bool) -> None:
        """A head that goes on has a limit; one of HTTP/0.9, whose first line names no version, has no more lines."""
        self._head_bytes += len(data)
        self._raw.keep(began=began)
        if began:
            self._before_head = len(data)  # the read it began in may hold the end of the message before it
        if self._head_bytes - self._before_head > self._settings.max_head_bytes:
            self._refuse_incoming(Refusal.HEAD_TOO_LARGE)
        elif data.endswith(b"\r\n") and self._head.target and self._parser.get_http_version() == "0.0":
            self._refuse_incoming(Refusal.BAD_REQUEST)

    def overspent(self, exchange: Exchange, size: int) -> bool:
        """A later read of a request: whether its chunk extensions and trailers, which carry nothing, are too much."""
        exchange.received += size
        return exchange.received > self._settings.max_head_bytes + _CHUNK_OVERHEAD * exchange.size and not exchange.complete

    def _on_bad_bytes(self) -> None:
        incoming = self.incoming
        self._parser = httptools.HttpRequestParser(self)
        if incoming is None or incoming.complete or self.in_head:
            self._refuse_incoming(Refusal.BAD_REQUEST)
        else:
            self._spoil(incoming, Refusal.BAD_REQUEST)

    def _spoil(self, incoming: Exchange, refusal: Refusal) -> None:
        """The body is not what it should be."""
        if incoming.begun:
            self._connection.on_spoiled(incoming, refusal)
        else:
            incoming.refusal = refusal

    def _refuse_incoming(self, refusal: Refusal) -> None:
        """What is arriving has no usable head: its refusal takes its place behind the requests before it."""
        self.in_head = False
        exchange = Exchange(self._connection, self._head)
        exchange.refusal = refusal
        self._raw.drop()
        self._head.lines = []  # there may be very many
        self._head = RequestHead()
        self._parser = httptools.HttpRequestParser(self)  # the old one holds what came of a field
        self.incoming = exchange
        self._connection.on_head(exchange)

    # -- what the parser finds

    def on_message_begin(self) -> None:
        self.in_head = True
        self._head_bytes = 0
        self._head = RequestHead()
        self._connection.on_begin()

    def on_url(self, url: bytes) -> None:
        self._head.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_head:  # a trailer: not forwarded, and never taken for a field (RFC 9110 6.5.1)
            return
        head = self._head
        rule = REQUEST_RULES.get(name.lower())
        if rule is None:
            head.lines.append(b"%b: %b\r\n" % (name, value))
        else:
            rule(head, name, value)

    def on_headers_complete(self) -> None:
        head = self._head
        parser = self._parser
        head.method = parser.get_method()
        head.version = parser.get_http_version()
        self.in_head = False
        settings = self._settings
        refusal = self._raw.check_head(head, settings.max_head_bytes) or check_head(head) or check_limits(head, settings)
        unusual = head.upgrade or head.trailers
        if unusual:
            head.switches = parser.should_upgrade() and asks_for_tunnel(head)
            head.trailers = head.trailers and head.version == "1.1" and not head.switches
        head.finish()
        exchange = self.incoming = Exchange(self._connection, head)
        if refusal is not None:
            exchange.refusal = refusal
            head.lines, head.start = [], b""
        if unusual:
            exchange.switches, exchange.trailers = head.switches, head.trailers
        if self._fresh:
            self._fresh = False
            if refusal is None:
                self._known.remember(head, self._raw.data)
        self._connection.on_head(exchange)

    def on_body(self, data: bytes) -> None:
        incoming = self.incoming
        if incoming is None:
            return
        incoming.on_body(data)
        self._connection.expect(self._settings.body_timeout)
        if self._raw.chunk >= 0:
            self._raw.chunk += len(data)
        size = incoming.size
        if (size > incoming.body_limit or size > self._settings.max_body_bytes) and not incoming.done:
            self._spoil(incoming, Refusal.BODY_TOO_LARGE)

    def on_message_complete(self) -> None:
        if self.incoming is not None:
            self.incoming.on_complete()
        self._connection.expect(0.0)
