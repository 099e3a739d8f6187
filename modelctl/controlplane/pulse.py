"""What has changed since somebody looked: a few numbers read once a second while anybody listens, however many listen.

Listeners are told that something changed, never what: each then reads what it shows. So one that is slow misses nothing and costs
nothing, and what is told does not grow with the number of routes. Owned by one event loop, like the fleet.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256

import msgspec
from sqlalchemy import Engine, func, select
from starlette.concurrency import run_in_threadpool

from modelctl.controlplane.fleet import Fleet
from modelctl.errors import StoreError
from modelctl.store.engine import reading
from modelctl.store.tables import decision, event, routing_table, spool

INTERVAL = 1.0
HEARTBEAT = 15.0
MOST = 256
"""Listeners at a time."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """How far everything is: the newest table, line of the history and decision, and the records in the database.

    `id` names the state: of two equal ones nothing changed in between. `at` is when it was read (Unix milliseconds).
    """

    id: str
    at: int
    table_version: int = 0
    event: int = 0
    decision: int = 0
    committed: int = 0
    workers: int = 0


class Pulse:
    """`clock` tells Unix microseconds."""

    def __init__(self, engine: Engine, fleet: Fleet, *, clock: Callable[[], int]) -> None:
        self._engine = engine
        self._fleet = fleet
        self._clock = clock
        self._listeners = 0
        self._wanted = asyncio.Event()
        self._changed = asyncio.Event()
        self._state: State | None = None
        self._stopping = False

    @property
    def full(self) -> bool:
        """Whether there is no room for one more."""
        return self._listeners >= MOST

    @contextmanager
    def listening(self) -> Iterator[None]:
        """For as long as somebody listens."""
        self._listeners += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._wanted.clear()
                self._state = None  # by the time somebody listens again it would be old

    async def states(self, known: str) -> AsyncIterator[State | None]:
        """Each state other than the one before, from the one named `known` on; None after HEARTBEAT seconds without one.

        Ends when the process is about to.
        """
        while not self._stopping:
            if self._state is not None and self._state.id != known:
                known = self._state.id
                yield self._state
                continue
            changed = self._changed
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await changed.wait()
            except TimeoutError:
                yield None

    async def run(self) -> None:
        """Looks until it is cancelled; without a database it waits and goes on."""
        while True:
            await self._wanted.wait()
            with suppress(StoreError):  # whoever reads a page is told; here there is only nothing new
                self._take(await run_in_threadpool(self._read, self._crew()))
            await asyncio.sleep(INTERVAL)

    def stop(self) -> None:
        """Ends every stream: the process is about to."""
        self._stopping = True
        self._wake()

    def _crew(self) -> tuple[tuple[str, int, bool, int], ...]:
        return tuple((one.worker, one.version, one.alive, one.refused) for one in self._fleet.workers())

    def _read(self, crew: tuple[tuple[str, int, bool, int], ...]) -> State:
        newest = (func.max(routing_table.c.version), func.max(event.c.id), func.max(decision.c.id), func.sum(spool.c.committed))
        with reading(self._engine) as connection:
            numbers = [int(connection.execute(select(one)).scalar() or 0) for one in newest]
        named = sha256(repr((numbers, crew)).encode()).hexdigest()[:16]
        fields = dict(zip(("table_version", "event", "decision", "committed"), numbers, strict=True))
        alive = sum(is_alive for _, _, is_alive, _ in crew)
        return State(id=named, at=self._clock() // 1000, workers=alive, **fields)

    def _take(self, state: State) -> None:
        if self._wanted.is_set() and (self._state is None or state.id != self._state.id):
            self._state = state
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
