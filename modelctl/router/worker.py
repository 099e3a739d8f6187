"""The process of one router worker: the listening socket it inherited, its clock, its table, its drain."""

import asyncio
import signal
import socket
import traceback
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address, ip_network
from time import time_ns
from typing import cast

from modelctl.endpoint import SOCKETS, reach_of
from modelctl.router.admission import Gates
from modelctl.router.client import ClientConnection
from modelctl.router.clock import TICK, Clock
from modelctl.router.dial import LOOK_SECONDS, Dialers
from modelctl.router.gate import TlsServer
from modelctl.router.gauge import Gauge
from modelctl.router.intake import KnownHeads
from modelctl.router.overload import LATE, Load
from modelctl.router.process import Connection
from modelctl.router.refusal import Refusal
from modelctl.router.roster import Report, unheard
from modelctl.router.shadow import Evidence
from modelctl.router.spool import Spool
from modelctl.router.sync import Applied, TableSync, load_table
from modelctl.router.sync_client import SyncClient
from modelctl.router.sync_spool import SyncSpool
from modelctl.router.table import CompiledTable, Retried, Targets
from modelctl.router.tls import Credentials
from modelctl.settings import Settings
from modelctl.traffic import RoutingTable

BACKLOG = 4_096
SHADOW_DRAIN = 5.0  # seconds for copies in flight after the last client has gone


class Worker:
    """Owns everything of one process that is shared between connections."""

    def __init__(
        self, settings: Settings, spool: Spool, *, clock: Clock, report: Report = unheard, credentials: Credentials | None = None
    ) -> None:
        self.settings = settings
        self.spool: Evidence = spool
        self._spool = spool
        self.clock = clock
        self.known_heads = KnownHeads()
        self.table: CompiledTable | None = None
        self.refusals: Counter[str] = Counter()
        self._applied_at = 0
        self._last: dict[str, int] = {}
        self._credentials = credentials
        self._report = report
        self._look_due = 0.0
        self.load = Load(settings.max_memory_bytes, settings.max_inflight)
        self._gauge = Gauge(self.load, clock.now, report=report)
        self.targets = Targets(clock, report, dialers=Dialers(reach_of(settings.backend_networks), report=report))
        self.targets.traced = settings.otlp_endpoint != ""
        self._gates = Gates()
        self._connections: set[Connection] = set()
        self._networks = [ip_network(network) for network in settings.trusted_proxies if network != SOCKETS]
        self._trusts_sockets = SOCKETS in settings.trusted_proxies
        self._in_networks = lru_cache(4_096)(lambda peer: any(ip_address(peer) in network for network in self._networks))
        self._draining = False
        self._stood = False  # this process did not run for a while

    # -- what connections ask

    def admit(self, connection: Connection) -> bool:
        """Whether a new connection may stay."""
        if len(self._connections) >= self.settings.max_connections:
            return False
        self._connections.add(connection)
        connection.draining = self._draining
        return True

    def supersede(self, old: Connection, new: Connection) -> None:
        """`new` has taken over what `old` was."""
        self._connections.discard(old)
        self._connections.add(new)
        new.draining = self._draining

    def dismiss(self, connection: Connection) -> None:
        """It is closed."""
        self._connections.discard(connection)

    def trusts(self, peer: str) -> bool:
        """Whether this address may say on whose behalf it asks. Without one it is on a Unix socket."""
        if not peer:
            return self._trusts_sockets
        return bool(self._networks) and self._in_networks(peer)

    def count_refusal(self, refusal: Refusal) -> None:
        """One more answer of the router's own."""
        self.refusals[refusal.code] += 1

    @property
    def connections(self) -> int:
        """Clients' connections, tunnels among them."""
        return len(self._connections)

    def retried(self) -> Retried:
        """The retries so far."""
        return self.targets.retried()

    # -- the table

    def applied(self) -> Applied:
        """Part of Applier."""
        table = self.table
        for leg in table.legs if table is not None else ():
            if leg.last:
                self._last[leg.backend] = max(leg.last, self._last.get(leg.backend, 0))
        return Applied(table.version if table is not None else 0, self._applied_at, dict(self._last))

    def apply(self, table: RoutingTable) -> None:
        """Part of Applier: one reference changes; requests in flight finish on what they started with."""
        compiled = CompiledTable(table, self.targets, gates=self._gates)
        self.applied()
        self.table = compiled
        self._applied_at = time_ns() // 1000

    # -- the process

    def tick(self) -> None:
        """Ten times a second: the clock, and whatever its passing ends."""
        now = asyncio.get_running_loop().time()
        self._stood = now - self.clock.now > LATE and not self._stood
        self.clock.now = now
        if self._stood:  # what came meanwhile has not been read: nobody is late before it is; no idle connection can be trusted
            self.targets.close_idle()
        else:
            for connection in [c for c in self._connections if c.deadline and c.deadline < now]:
                self._expire(connection)
            self.targets.sweep(now)
        if self._credentials is not None and now >= self._look_due:
            self._look_due = now + LOOK_SECONDS
            self._credentials.refresh()
        self._gauge.tick(now, self._connections)
        self._spool.look()

    def _expire(self, connection: Connection) -> None:
        try:
            connection.expired()
        except Exception:  # noqa: BLE001  (one connection must not keep the others from their deadlines)
            self._report("connection-failed", traceback.format_exc())
            self.dismiss(connection)
            connection.cut()

    async def _tick_for_ever(self) -> None:
        while True:
            try:
                self.tick()
            except Exception:  # noqa: BLE001  (without a clock no deadline would ever pass again)
                self._report("tick-failed", traceback.format_exc())
            await asyncio.sleep(TICK)

    def _connection(self) -> asyncio.Protocol:
        spool = self._spool
        return cast("asyncio.Protocol", SyncClient(self, spool) if isinstance(spool, SyncSpool) else ClientConnection(self))

    async def _listen(self, listener: socket.socket) -> asyncio.AbstractServer | TlsServer:
        """From now on connections are accepted."""
        loop = asyncio.get_running_loop()
        if self._credentials is not None:
            return TlsServer(self, listener, credentials=self._credentials, connect=self._connection)
        if listener.family == socket.AF_UNIX:
            return await loop.create_unix_server(self._connection, sock=listener, backlog=BACKLOG)
        return await loop.create_server(self._connection, sock=listener, backlog=BACKLOG)

    async def serve(self, listener: socket.socket, sync: TableSync, *, on_ready: Callable[[], None] | None = None) -> None:
        """Until SIGTERM or SIGINT, then until what is in flight has ended or the drain timeout has.

        With `on_ready` another worker serves meanwhile: nothing is accepted before this one has the newest table that is to be
        had; then it is called.
        """
        loop = asyncio.get_running_loop()
        known = load_table(self.settings.table_file)
        if known is not None:
            self.apply(known)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        ticking = loop.create_task(self._tick_for_ever())
        polling = loop.create_task(sync.run(self))
        if on_ready is not None:
            while not (sync.current.is_set() or stop.is_set()):
                await asyncio.sleep(TICK / 4)
        server = await self._listen(listener)
        if on_ready is not None and not stop.is_set():
            on_ready()
        await stop.wait()
        server.close()
        await self._drain()
        for task in (polling, ticking):
            task.cancel()
        await sync.leave(self)
        self._spool.close()

    async def _drain(self) -> None:
        self._draining = True
        for connection in list(self._connections):
            connection.drain()
        deadline = self.clock.now + self.settings.drain_timeout
        while self._connections and self.clock.now < deadline:
            await asyncio.sleep(TICK / 4)
        for connection in list(self._connections):
            connection.cut()
        # Copies have no client who waits, so a candidate that hangs cannot hold the process for long.
        deadline = self.clock.now + min(SHADOW_DRAIN, self.settings.drain_timeout)
        while self.targets.busy and self.clock.now < deadline:
            await asyncio.sleep(TICK / 4)
