"""One connection of a client: bytes in, requests in order, answers in the same order.

Requests behind the one that is being answered wait parsed in a queue, and the connection is not read meanwhile: what may be
held is MAX_AHEAD requests of one read of the socket. A refusal takes its place in that order, so an earlier answer is never lost.
"""

import asyncio
import socket
import struct
from collections import deque
from typing import cast

from modelctl.router.address import plain_address
from modelctl.router.admission import Gate
from modelctl.router.choice import choose
from modelctl.router.exchange import Exchange
from modelctl.router.head import RequestHead
from modelctl.router.hold import ANSWERS, BEYOND, QUEUE, UPLOAD, Hold, limit_reading
from modelctl.router.intake import Intake
from modelctl.router.origin import Origin
from modelctl.router.outgoing import send
from modelctl.router.process import Process
from modelctl.router.refusal import Refusal, refusal_answer
from modelctl.router.tunnel import EarlyBytes, Tunnel
from modelctl.router.upstream import HIGH_WATER, Upstream

MAX_AHEAD = 512  # requests that wait for the answer to the one before them
_LINGER = 2.0
_DRAIN_IDLE = 0.5  # seconds an idle client keeps its connection while the router drains
_DRAIN_NEW = 2.0  # the same for one that has not asked anything yet: it has connected in order to
_HALF_CLOSED = 0.7  # seconds a client may wait for an answer after it has said that it sends no more
_RESET = struct.pack("ii", 1, 0)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE = b"connection: close\r\n"
_KEEP_ALIVE = b"connection: keep-alive\r\n"


class ClientConnection:
    """See the module. `deadline` is when the connection is closed unless something happens; 0 while a backend is asked."""

    transport: asyncio.Transport
    active: Exchange | None = None
    draining = False
    write_paused = False
    deadline = 0.0
    _early: EarlyBytes | None = None
    _close_after = False
    _half_closed = False
    _due = 0.0  # when more of the answer to a half-closed client was due, as it was looked at last
    _closed = False
    _lingering = False
    _advancing = False

    def __init__(self, worker: Process) -> None:
        self.spool = worker.spool
        self.load = worker.load
        self._worker = worker
        self._clock = worker.clock
        self._settings = worker.settings
        self._idle_timeout = worker.settings.idle_timeout
        self._queue: deque[Exchange] = deque()
        self._intake = Intake(self, worker.settings, known=worker.known_heads)

    # -- life

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self._hold = Hold(self.transport, self)
        name = transport.get_extra_info("peername")
        peer = name[0] if isinstance(name, tuple) else ""
        peer = plain_address(peer) if ":" in peer else peer
        self._secure = limit_reading(self.transport)
        self._origin = Origin(peer, trusted=self._worker.trusts(peer), secure=self._secure)
        self.deadline = self._clock.now + self._settings.idle_timeout
        if not self._worker.admit(self):
            self._write_refusal(Refusal.CONNECTIONS, None)
            self._close()
        elif self.draining:  # accepted in the last moment
            self.drain()

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        self._worker.dismiss(self)
        self._queue.clear()
        if self.active is not None:
            self.active.client_gone()
            self.active = None
        self._intake.incoming = None  # which knows this connection: only the collector would find the two, much later

    def eof_received(self) -> bool:
        """It may wait for its answers (RFC 9112 9.6) or have left: a short while decides; an answer that has begun finds out."""
        active, incoming = self.active, self._intake.incoming
        if active is None or self._lingering or self._secure:  # TLS closes both ways at once
            return False
        if _ends_with_input(active) or (incoming is not None and _ends_with_input(incoming)):
            return False
        self._half_closed = True
        self.deadline = self._clock.now + _HALF_CLOSED
        return True

    def drain(self) -> None:
        """Answer what was asked, then close. An idle client may just be sending: it has a moment to be told `Connection: close`."""
        self.draining = True
        self.hurry(_DRAIN_IDLE if self._intake.asked else _DRAIN_NEW)

    def hurry(self, seconds: float = _DRAIN_IDLE) -> None:
        """When nothing is asked on it, close it soon."""
        if self.active is None and not self._intake.in_head:
            self.deadline = min(self.deadline, self._clock.now + seconds)

    def expired(self) -> None:
        """The deadline has passed: a request that never came whole is answered 408, an idle connection is just closed."""
        if self._lingering and self._secure:
            self._lingering = False
            self._close()  # with TLS's own goodbye, which had to wait: nothing can be read after it
            return
        if self._closed:
            self.transport.abort()  # it has had its time to read the end
            return
        if self.active is not None and self.active.decide_by:
            self.deadline = self._clock.now + self._settings.body_timeout
            choose(self.active, self.active.decision)
            return
        if self._hold.why and self.active is not None:
            # It is not read, so it cannot be late: it waits for a backend or for the answers before its own.
            self.deadline = self._clock.now + self._settings.body_timeout
            return
        incoming = self._intake.incoming
        if self._intake.in_head or (incoming is not None and not incoming.complete):
            if self.active is not None and self.active.answered:
                self.cut()
                return
            if self.active is not None:
                self.active.client_gone()
                self.active = None
            self._write_refusal(Refusal.SLOW_HEAD, None)
        elif self.active is not None and self.active.answered:
            self._look_whether_it_moves(self.active)
            return
        self._close()

    def _look_whether_it_moves(self, active: Exchange) -> None:
        """A client that sends no more and gets nothing either may have left long ago: nobody would ever say so."""
        due = active.upstream.deadline if active.upstream is not None else 0.0  # each read of the answer puts it off
        if not self._half_closed:
            self.deadline = 0.0
        elif due != self._due or self.write_paused:
            self._due = due
            self.deadline = self._clock.now + self._settings.body_timeout
        else:
            self.cut()

    def cut(self) -> None:
        """The answer cannot be completed: close without ending it, so that the client notices (RFC 9112 8)."""
        active, self.active = self.active, None
        if active is not None:
            active.client_gone()
            if active.head.version != "1.1":  # its answer may end where the connection does: only a reset says that it is cut
                self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._queue.clear()
        self._closed = True
        self.transport.abort()

    def _close(self) -> None:
        self._closed = True
        self.deadline = self._clock.now + self._settings.body_timeout
        self.transport.close()

    def _linger(self) -> None:
        """Close, but read on for a while: a reset would destroy the answer the client has not read yet (RFC 9112 9.6)."""
        self._closed = True
        self._lingering = True
        self._queue.clear()
        self._hold.drop(QUEUE | UPLOAD | BEYOND)
        self.deadline = self._clock.now + _LINGER
        if self.transport.can_write_eof():
            self.transport.write_eof()

    # -- bytes in

    def data_received(self, data: bytes) -> None:
        if self._closed:
            return
        if self._early is not None:
            self._early.add(data)
            return
        self._intake.feed(data)
        active = self.active
        if active is not None and active.begun:
            self._on_more(active, len(data))
        elif active is not None:
            self._begin(active)

    def _on_more(self, exchange: Exchange, size: int) -> None:
        """A later read of a request that is being forwarded."""
        if not exchange.complete and self._intake.overspent(exchange, size) and not exchange.done:
            self.on_spoiled(exchange, Refusal.BAD_REQUEST)
        else:
            exchange.more()

    def _begin(self, exchange: Exchange) -> None:
        refusal = exchange.refusal
        if refusal is None and self.load.inflight >= self.load.room:
            refusal = Refusal.OVERLOADED
        if refusal is None:
            head = exchange.head
            table = self._worker.table
            route = table.match(head.host, head.target) if table is not None else None
            if route is None:
                refusal = Refusal.BAD_PATH if head.encoded else Refusal.NO_TABLE if table is None else Refusal.NO_ROUTE
            else:
                if route.gate is not None or head.encoded:
                    refusal = self._turned_away(exchange, route.gate)
                if refusal is None:
                    if head.expects and not exchange.complete and head.version == "1.1":
                        self.transport.write(_CONTINUE)
                    exchange.begin(route)
                    return
        exchange.done = True
        self.refuse(refusal, exchange)

    def _turned_away(self, exchange: Exchange, gate: Gate | None) -> Refusal | None:
        return Refusal.BAD_PATH if gate is None else gate.refusal(exchange, self._origin, trusts=self._worker.trusts)

    def expect(self, seconds: float) -> None:
        """Part of Receiver."""
        self.deadline = self._clock.now + seconds if seconds else 0.0

    def on_begin(self) -> None:
        """Part of Receiver. While an answer is due, the client has time."""
        if self.active is None:
            self.deadline = self._clock.now + self._settings.header_timeout

    def on_head(self, exchange: Exchange) -> None:
        """Part of Receiver: it waits for the answers before its own."""
        if self.active is None:
            self.active = exchange
        elif len(self._queue) < MAX_AHEAD:
            self._queue.append(exchange)
            self._hold.add(QUEUE)
        else:  # what is not answered may be asked again elsewhere (RFC 9112 9.3.2)
            self._half_closed = True
            self._hold.add(BEYOND)

    def on_upgrade(self, rest: bytes) -> None:
        """Part of Receiver."""
        self._early = EarlyBytes(self._hold, rest)

    def _parse_on(self) -> None:
        """The answer was plain HTTP: what came behind the request is the next one."""
        early, self._early = self._early, None
        if early is not None and (data := early.release()):
            self.data_received(data)

    def on_spoiled(self, exchange: Exchange, refusal: Refusal) -> None:
        """Part of Receiver: the backend must not take the body for a whole one."""
        exchange.client_gone()
        if exchange.answered:
            self.cut()
        else:
            self.refuse(refusal, exchange)

    # -- answers out

    def write(self, parts: list[bytes], size: int) -> None:
        """Part of Client."""
        send(self.transport, parts, size=size)

    def forwarding(self, head: RequestHead) -> bytes:
        """Part of Client."""
        return self._origin.lines(head)

    def connection_line(self, head: RequestHead) -> bytes:
        """The Connection field of an answer."""
        if self._ends_after(head):
            return _CLOSE
        return b"" if head.version == "1.1" else _KEEP_ALIVE

    def _ends_after(self, head: RequestHead) -> bool:
        return head.last or self._close_after or self.draining or (self._half_closed and not self._queue)

    def close_after(self) -> None:
        """The answer that is being sent is the last on this connection."""
        self._close_after = True

    def switch(self, exchange: Exchange, upstream: Upstream, *, head: bytes, rest: bytes) -> None:
        """Part of Client: a tunnel takes over."""
        tunnel = Tunnel(self._worker, exchange, client=self.transport, upstream=upstream)
        self._worker.supersede(self, tunnel)
        early = self._early.data if self._early is not None else b""
        tunnel.start(head, up=early, down=rest, slow=(self.write_paused, bool(self._hold.why & UPLOAD)))

    def refuse(self, refusal: Refusal, exchange: Exchange) -> None:
        """The router's own answer to `exchange`."""
        if refusal.closes or not exchange.complete:
            self._close_after = True
        self._write_refusal(refusal, exchange)
        self.on_exchange_done(exchange)

    def _write_refusal(self, refusal: Refusal, exchange: Exchange | None) -> None:
        self._worker.count_refusal(refusal)
        closing = exchange is None or self._ends_after(exchange.head)
        head_only = exchange is not None and exchange.head_only
        request_id = exchange.request_id if exchange is not None else b""
        notes = exchange.notes if exchange is not None else b""
        self.transport.write(refusal_answer(refusal, close=closing, head_only=head_only, request_id=request_id, notes=notes))

    def on_exchange_done(self, exchange: Exchange) -> None:
        """An answer is complete: the next request of the queue has its turn."""
        self.active = None
        if self._ends_after(exchange.head):
            if exchange.complete and not self._hold.why & BEYOND:
                self._close()
            else:
                self._linger()
        elif self._queue:
            if not self._advancing:
                self._advance()
        else:
            intake = self._intake
            if exchange is intake.incoming:
                intake.incoming = None
            self._hold.drop(UPLOAD)
            self._rest()
            if self._early is not None:  # later: a thousand refusals in a row must not recurse
                asyncio.get_running_loop().call_soon(self._parse_on)

    def _rest(self) -> None:
        """Nothing is asked. Who does not read its answers is not read, and has as long as one who asks nothing."""
        if self.write_paused:
            self._hold.add(ANSWERS)
        late = self._intake.in_head and not self.write_paused
        self.deadline = self._clock.now + (self._settings.header_timeout if late else self._idle_timeout)

    def _advance(self) -> None:
        """Begin queued requests until one has to wait for a backend, or the client must read first.

        A loop: a thousand refusals in a row must not recurse.
        """
        self._advancing = True
        self._hold.drop(UPLOAD)
        while self.active is None and self._queue and not (self._closed or self.write_paused):
            active = self.active = self._queue.popleft()
            if not self._queue:
                self._hold.drop(QUEUE)
            if not active.complete:  # its body may come now
                self.deadline = self._clock.now + self._settings.body_timeout
            self._begin(active)
        self._advancing = False
        if self.active is None and self._queue and not self._closed:
            self._rest()

    # -- back-pressure

    def await_body(self, until: float) -> None:
        """Part of Held: its client still owes as much as before, but its request is decided by then."""
        self.deadline = min(self.deadline or until, until)

    def pause_upload(self) -> None:
        """The backend, or the connection to it, cannot take more."""
        self._hold.add(UPLOAD)

    def resume_upload(self) -> None:
        """It can again."""
        self._hold.drop(UPLOAD)

    def pause_writing(self) -> None:
        """The client is slow to read: do not read its answer faster than it does."""
        self.write_paused = True
        if self.active is None:
            if not self._closed:
                self._rest()
        elif self.active.upstream is not None:
            self.active.upstream.hold()

    def resume_writing(self) -> None:
        """The client reads again."""
        self.write_paused = False
        self._hold.drop(ANSWERS)
        if self.active is None:
            if self._queue and not self._advancing:
                self.deadline = 0.0
                self._advance()
            elif not (self._closed or self._advancing):
                self._rest()
        elif self.active.upstream is not None:
            self.active.upstream.unhold()


def _ends_with_input(exchange: Exchange) -> bool:
    """Whether a client that sends no more has left: it owes its body, hopes for another protocol, or listens to events."""
    upstream = exchange.upstream
    return not exchange.complete or exchange.switches or (upstream is not None and upstream.answer.events)
