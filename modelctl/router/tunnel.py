"""After a backend's 101: bytes pass both ways unread, counted, at the pace of the slower side (RFC 9110 7.8, RFC 6455).

Nothing is passed on before the 101 (CVE-2026-2833 was a proxy that did): what a client sends behind its request waits in
`EarlyBytes`, and becomes the next request if the backend answers with anything else.
"""

import asyncio
from math import inf
from typing import Final, Protocol, cast

from modelctl import evidence
from modelctl.router.hold import EARLY, Hold
from modelctl.router.process import Process
from modelctl.router.target import STREAM_IDLE
from modelctl.router.upstream import Upstream

CLOSING: Final = 2.0  # seconds without a byte after which a tunnel ends that one side has closed


class EarlyBytes:
    """What a client sent behind a request that asks for another protocol. At most one read: then the client is not read."""

    __slots__ = ("_hold", "data")

    def __init__(self, hold: Hold, data: bytes) -> None:
        self._hold = hold
        self.data = b""
        self.add(data)

    def add(self, data: bytes) -> None:
        """More of them."""
        if data:
            self.data += data
            self._hold.add(EARLY)

    def release(self) -> bytes:
        """They have found their use: the client is read again."""
        self._hold.drop(EARLY)
        return self.data


class Switched(Protocol):
    """The exchange whose answer was the 101."""

    def on_tunnel_end(self, failure: str, *, up: int, down: int) -> None:
        """So many bytes have passed to the backend and to the client; `failure` is one of evidence's."""


class End:
    """One of a tunnel's two connections: an asyncio protocol that passes on what it gets. `received` counts it."""

    __slots__ = ("_tunnel", "closed", "other", "received", "transport")

    other: "End"

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport) -> None:
        self._tunnel = tunnel
        self.transport = transport
        self.received = 0
        self.closed = False  # it sends no more

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        self._tunnel.touch()
        self.other.write(data)

    def write(self, data: bytes) -> None:
        """Send it, unless this side has gone."""
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def pause_writing(self) -> None:
        """This side is slow to read: the other is read no faster."""
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """This side reads again."""
        if not self.other.closed:
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        """It sends no more: the other side is told, and may finish what it has to say."""
        self.closed = True
        other = self.other.transport
        if self.other.closed or not other.can_write_eof() or not self.transport.can_write_eof():
            return False
        if not other.is_closing():
            other.write_eof()
        self._tunnel.close_soon()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        broken = error is not None and not self.closed
        self.closed = True
        self._tunnel.on_lost(self, broken=broken)


class Tunnel:
    """A client's connection joined to a backend's. In the process it takes the place of the client's connection: its `deadline`
    ends it when no byte has passed for STREAM_IDLE. On its backend it is in flight until it ends.
    """

    deadline = 0.0
    draining = False
    _patience = STREAM_IDLE
    _unsent = 0
    _ended = False
    _open = 2

    def __init__(self, process: Process, exchange: Switched, *, client: asyncio.Transport, upstream: Upstream) -> None:
        self._process = process
        self._clock = process.clock
        self._exchange = exchange
        self._upstream = upstream
        self._client = End(self, client)
        self._backend = End(self, upstream.transport)
        self._client.other = self._backend
        self._backend.other = self._client

    def start(self, head: bytes, *, up: bytes, down: bytes, slow: tuple[bool, bool]) -> None:
        """Send the client its 101, pass on what came behind the request and behind the answer, and from now on everything.

        `slow` says of the client and of the backend whether their connections cannot take more yet.
        """
        client, backend = self._client, self._backend
        for end, held in ((client, slow[1]), (backend, slow[0])):
            end.transport.set_protocol(cast("asyncio.Protocol", end))
            if held:
                end.transport.pause_reading()
            else:
                end.transport.resume_reading()
        self._upstream.deadline = inf  # the tunnel has one
        self.touch()
        client.received = len(up)
        backend.received = len(down)
        client.write(head + down)
        backend.write(up)

    def touch(self) -> None:
        """A byte has passed."""
        self.deadline = self._clock.now + self._patience

    def close_soon(self) -> None:
        """One side sends no more: the other has not long to be silent."""
        self._patience = CLOSING
        self.touch()

    # -- part of Connection, as the process sees it

    def drain(self) -> None:
        """Nobody can be told: it lives until the drain is over."""
        self.draining = True

    def hurry(self) -> None:
        """It is in use."""

    def expired(self) -> None:
        """Nothing has come for too long. What is still being written to a slow side may go on."""
        unsent = self._client.transport.get_write_buffer_size() + self._backend.transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self._unsent = unsent
            self.touch()
        else:
            self.cut()

    def cut(self) -> None:
        """End both connections now; what is unsent is dropped."""
        self._end("" if self._client.closed or self._backend.closed else evidence.CLIENT_GONE)
        self._client.transport.abort()
        self._backend.transport.abort()

    # -- the end

    def on_lost(self, end: End, *, broken: bool) -> None:
        """One of the connections is closed: the other is too, once it has sent what it was given."""
        self._open -= 1
        self._end(self._failure(end) if broken else "")
        if end is self._backend:
            self._upstream.connection_lost(None)
        self.close_soon()
        end.other.transport.close()
        if not self._open:
            self._process.dismiss(self)

    def _failure(self, end: End) -> str:
        return evidence.CLIENT_GONE if end is self._client else evidence.TRUNCATED

    def _end(self, failure: str) -> None:
        if self._ended:
            return
        self._ended = True
        upstream = self._upstream
        self._exchange.on_tunnel_end(failure, up=self._client.received, down=self._backend.received)
        upstream.head_complete = True  # its answer was the 101: whatever ended the tunnel, it has answered
        upstream.transport.close()
        upstream.closing = True  # by flushing: giving it back must not abort it
        upstream.abandon()
