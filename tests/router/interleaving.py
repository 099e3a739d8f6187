"""A whole router worker without sockets, where a test says what happens next: bytes, ends, full buffers, time, new tables.

Transports behave as uvloop's do: what is paused gets nothing, what is closed is told so a turn later, and a write
after that raises.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

from modelctl.endpoint import ANYWHERE, Endpoint
from modelctl.evidence import Served, decode
from modelctl.router.client import ClientConnection
from modelctl.router.clock import Clock
from modelctl.router.dial import Dialer, Dialers
from modelctl.router.narrow import Narrow
from modelctl.router.roster import unheard
from modelctl.router.sync_client import SyncClient
from modelctl.router.sync_spool import Waiter
from modelctl.router.table import Targets
from modelctl.router.worker import Worker
from modelctl.settings import Settings
from modelctl.traffic import Backend, RoutingTable

_TURNS = 6
_PERIODS = 64  # minutes, about: more than any deadline, for each request that waits for the one before it


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time stands still but for what a test adds to it."""

    now = 1_000.0

    def time(self) -> float:
        """Seconds."""
        return self.now


class Wire:
    """A transport. `sent` is what was written to it."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.protocol: Any = None
        self.sent = bytearray()
        self.closing = self.lost = self.full = False
        self._ended = False
        self._paused = False
        self._arrived: list[bytes] = []

    def setsockopt(self, *given: object) -> None:
        """Part of a socket, for a reset."""

    def get_extra_info(self, name: str) -> object:
        """As of TCP over IPv4."""
        return {"peername": ("127.0.0.1", 1), "socket": self}.get(name)

    def set_write_buffer_limits(self, *, high: int) -> None:
        """The test says when it is full."""

    def get_write_buffer_size(self) -> int:
        """Bytes, about."""
        return 1 if self.full else 0

    def set_protocol(self, protocol: object) -> None:
        """Who is told from now on."""
        self.protocol = protocol

    def is_closing(self) -> bool:
        """Whether it is being closed or is."""
        return self.closing

    def can_write_eof(self) -> bool:
        """TCP can."""
        return True

    def write_eof(self) -> None:
        """It sends no more."""
        self._alive()

    def write(self, data: bytes) -> None:
        """Raises RuntimeError when its protocol knows that it is closed."""
        self._alive()
        self.sent += data

    def writelines(self, parts: list[bytes]) -> None:
        """As `write`."""
        self.write(b"".join(parts))

    def _alive(self) -> None:
        if self.lost:
            raise RuntimeError("the handler is closed")

    def pause_reading(self) -> None:
        """Nothing arrives until `resume_reading`."""
        self._paused = True

    def resume_reading(self) -> None:
        """What has come in the meantime arrives a turn later."""
        self._paused = False
        self._loop.call_soon(self._deliver)

    def close(self) -> None:
        """A turn later it is closed, or once its buffer is empty."""
        self.closing = True
        if not self.full:
            self.end(None)

    def abort(self) -> None:
        """A turn later it is closed."""
        self.end(None)

    # -- what the other side does

    def arrive(self, data: bytes) -> None:
        """The other side sends `data`."""
        self._arrived.append(data)
        self._deliver()

    def _deliver(self) -> None:
        while self._arrived and not (self._paused or self.closing):
            self._hand_over(self._arrived.pop(0))

    def _hand_over(self, data: bytes) -> None:
        if not isinstance(self.protocol, Narrow):
            self.protocol.data_received(data)
            return
        buffer = self.protocol.get_buffer(-1)
        piece, rest = data[: len(buffer)], data[len(buffer) :]
        buffer[: len(piece)] = piece
        if rest:
            self._arrived.insert(0, rest)
        self.protocol.buffer_updated(len(piece))

    def finish(self) -> None:
        """The other side sends no more."""
        if not (self._paused or self.closing) and not self.protocol.eof_received():
            self.end(None)

    def end(self, error: Exception | None) -> None:
        """The connection is over."""
        self.closing = True
        if not self._ended:
            self._ended = True
            self._loop.call_soon(self._lose, error)

    def _lose(self, error: Exception | None) -> None:
        self.protocol.connection_lost(error)
        self.lost = True

    def fill(self, *, full: bool) -> None:
        """Its buffer is full, or has been taken."""
        if self.lost or full == self.full:
            return
        self.full = full
        if full:
            self.protocol.pause_writing()
        else:
            self.protocol.resume_writing()
            if self.closing:
                self.end(None)


class _Dialer(Dialer):
    """Opens wires. Every `refuses`-th connection fails in one of these ways."""

    _WAYS = (ConnectionRefusedError, TimeoutError, PermissionError, UnicodeError, RuntimeError)

    def __init__(self, scene: "Scene", backend: Backend) -> None:
        super().__init__(backend, ANYWHERE, credentials=None, report=unheard)
        self._scene = scene

    async def open(self, endpoint: Endpoint, address: str, *, factory: Callable[[], object]) -> object:
        await asyncio.sleep(0)
        scene = self._scene
        scene.dials += 1
        if scene.refuses and scene.dials % scene.refuses == 0:
            raise self._WAYS[scene.dials % len(self._WAYS)]
        protocol = cast("Any", factory())
        wire = scene.wire(protocol)
        scene.backends.append(wire)
        return protocol


class _Dialers(Dialers):
    def __init__(self, scene: "Scene") -> None:
        super().__init__()
        self._scene = scene

    def dialer(self, backend: Backend) -> Dialer:
        return _Dialer(self._scene, backend)


class _Written:
    """A spool that keeps what it is given. What waits for it is told when a test says so, and at each look of the worker."""

    def __init__(self) -> None:
        self.records: list[bytes] = []
        self.unwritten = False
        self._waiting: list[Waiter] = []

    def append(self, payload: bytes) -> None:
        """Part of Evidence."""
        self.records.append(payload)
        self.unwritten = True

    def hold(self, waiter: Waiter) -> None:
        """Part of Holding."""
        assert self.unwritten
        self._waiting.append(waiter)

    def look(self) -> None:
        """All of it is written."""
        self.unwritten = False
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            waiter.on_written()


class Scene:
    """One worker, its clients' connections and those to its model servers, in the order they were made.

    In `sync` mode answers wait for `written`, or for a tick of the worker.
    """

    def __init__(self, loop: VirtualLoop, table: RoutingTable, *, refuses: int, sync: bool = False) -> None:
        self.loop = loop
        self._sync = sync
        self.refuses = refuses
        self.dials = 0
        self.clients: list[Wire] = []
        self.backends: list[Wire] = []
        self.errors: list[str] = []
        self._written = _Written()
        loop.set_exception_handler(lambda _, context: self.errors.append(str(context)))
        clock = Clock(loop.time())
        settings = Settings(max_inflight=8)
        self.worker = Worker(settings, cast("Any", self._written), clock=clock)
        self.worker.targets = Targets(clock, dialers=_Dialers(self))
        self.worker.apply(table)

    def wire(self, protocol: Any) -> Wire:  # noqa: ANN401  (a client's, a backend's or a tunnel's)
        """A connection of `protocol`."""
        wire = Wire(self.loop)
        wire.protocol = protocol
        protocol.connection_made(wire)
        return wire

    def join(self) -> Wire:
        """One more client."""
        client = SyncClient(self.worker, self._written) if self._sync else ClientConnection(self.worker)
        self.clients.append(self.wire(client))
        return self.clients[-1]

    def written(self) -> None:
        """The disk has everything."""
        self._written.look()

    async def settle(self) -> None:
        """Let everything happen that is due."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def wait(self, seconds: float) -> None:
        """Time passes."""
        self.loop.now += seconds
        self.worker.tick()  # after a long time this one takes nobody for late
        await self.settle()
        self.worker.tick()
        await self.settle()

    async def end(self, *, leave: bool) -> None:
        """Every deadline passes; with `leave` the clients go before."""
        for client in self.clients if leave else ():
            client.end(None)
        await self.settle()
        for _ in range(_PERIODS):
            await self.wait(61.0)

    # -- the laws

    def served(self) -> list[Served]:
        """What was written down of each request."""
        return [record for record in map(decode, self._written.records) if isinstance(record, Served)]

    def sends(self, *, copies: bool) -> Counter[bytes]:
        """How often each request went out, by its id."""
        found: Counter[bytes] = Counter()
        for wire in self.backends:
            for head in bytes(wire.sent).split(b"POST /")[1:]:
                _, _, rest = head.partition(b"x-request-id: ")
                if (b"x-shadow: 1" in head.partition(b"\r\n\r\n")[0]) is copies and rest:
                    found[rest.partition(b"\r\n")[0]] += 1
        return found

    def left(self) -> dict[str, object]:
        """What is still counted as under way though nothing is: empty when the books balance."""
        worker = self.worker
        live = sum(not client.lost for client in self.clients)
        books: dict[str, object] = {
            "clients": live,
            "inflight": worker.load.inflight,
            "errors": self.errors,
            "connections": len(worker._connections),
        }
        for target in worker.targets.every():
            books |= {f"{target.backend.name} busy": target.busy, f"{target.backend.name} trials": len(target.trials)}
            books[f"{target.backend.name} retries"] = target.budget.inflight if target.budget is not None else 0
            for pool in target.pools:
                books[f"{pool.endpoint} busy"] = pool.candidate.busy
        return {name: value for name, value in books.items() if value}
