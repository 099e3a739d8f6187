"""Which router serves which table: kept in memory, from the long polls of the routers' workers.

A worker is alive while its poll is open, and GONE_AFTER seconds longer: between two polls it applies a table. One event loop
owns a fleet, so nothing here takes a lock. Times are Unix microseconds; `clock` tells them.
"""

import asyncio
from collections.abc import Callable

import msgspec

from modelctl.store.catalog import StoredTable

GONE_AFTER = 2_000_000
CONVERGENCE_TIMEOUT = 2.0


class Poll(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker says when it asks for a table newer than `after`.

    `applied` is the version it serves from, since `applied_us`; `refused` one it would not take, and `why`. `last` is when each
    backend was last sent a request.
    """

    worker: str
    after: int = 0
    applied: int = 0
    applied_us: int = 0
    refused: int = 0
    why: str = ""
    last: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def known(self) -> int:
        """The newest version this worker need not be told of again."""
        return max(self.after, self.refused)


class WorkerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One worker as it stands. `version` is 0 while it serves from no table."""

    worker: str
    version: int
    alive: bool
    refused: int = 0
    why: str = ""
    seen_at: int = 0


class Acknowledged(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that serves from the wanted table: since when, and how long after the command it still sent to lost backends.

    `applied_ms` and the values of `last_request_ms` count from the command's arrival; None: no request came after it.
    """

    worker: str
    version: int
    applied_at: int
    applied_ms: float
    last_request_ms: dict[str, float | None]


class Laggard(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that is alive and does not serve from the wanted table."""

    worker: str
    version: int
    reason: str


class Convergence(msgspec.Struct, frozen=True, kw_only=True):
    """Where the workers stand after a command. `converged` when there are any and all serve from the table."""

    version: int
    converged: bool
    elapsed_ms: float
    workers: tuple[Acknowledged, ...] = ()
    laggards: tuple[Laggard, ...] = ()


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to wait for: a version, since when, and the backends that it takes the traffic from."""

    version: int
    since: int
    bereft: tuple[str, ...] = ()


class _Worker:
    """The last poll of a worker, how many of its polls are open (two while one replaces the other), and when one last closed."""

    __slots__ = ("closed_at", "open", "poll", "seen_at")

    def __init__(self) -> None:
        self.poll = Poll(worker="")
        self.open = 0
        self.seen_at = 0
        self.closed_at = 0

    def alive(self, now: int) -> bool:
        return self.open > 0 or now - self.closed_at <= GONE_AFTER


class Fleet:
    """The newest table, and everyone who asks for it. Routers come back within the first `young_for` microseconds."""

    def __init__(self, clock: Callable[[], int], *, young_for: int = GONE_AFTER) -> None:
        self._clock = clock
        self._grown_up = clock() + young_for
        self._resumed = False
        self._table = StoredTable(0, b"")
        self._workers: dict[str, _Worker] = {}
        self._changed = asyncio.Event()
        self._stopping = False

    @property
    def table(self) -> StoredTable:
        """The newest table; version 0 before the first."""
        return self._table

    def publish(self, table: StoredTable) -> None:
        """Wakes the polls. An older table than the newest is ignored: commands may finish in another order than they committed."""
        if table.version > self._table.version:
            self._table = table
            self._wake()

    def resume(self, table: StoredTable) -> None:
        """Publishes the table an earlier process left: routers serve from it, and not all of them are back yet."""
        self._resumed = True
        self.publish(table)

    def stop(self) -> None:
        """Ends every poll that waits: the process is about to."""
        self._stopping = True
        self._wake()

    def opened(self, poll: Poll) -> None:
        """A worker's poll has arrived. Balanced by `closed`."""
        worker = self._workers.setdefault(poll.worker, _Worker())
        worker.open += 1
        worker.poll = poll
        worker.seen_at = self._clock()
        self._wake()

    def closed(self, poll: Poll) -> None:
        """The poll was answered, or its connection broke."""
        worker = self._workers.get(poll.worker)
        if worker is not None:  # it has not left
            worker.open -= 1
            worker.closed_at = self._clock()
        self._forget()
        self._wake()

    def left(self, worker: str) -> None:
        """The worker has drained and serves no more: nothing waits for it."""
        self._workers.pop(worker, None)
        self._wake()

    async def newer(self, poll: Poll) -> StoredTable | None:
        """The newest table, as soon as it is newer than what the worker knows; None when the fleet stops. Wait with a timeout."""
        while self._table.version <= poll.known and not self._stopping:
            await self._changed.wait()
        return self._table if self._table.version > poll.known else None

    async def converged(self, command: Command, *, timeout: float = CONVERGENCE_TIMEOUT) -> Convergence:  # noqa: ASYNC109 a promise
        """Where the workers stand once all took the table or one refused it; after `timeout` seconds in any case.

        While the fleet is young it waits for workers that have not come yet: for the first, and for all that served before.
        """
        try:
            async with asyncio.timeout(timeout):
                while not self._decided(command):
                    await self._next_change()
        except TimeoutError:
            pass
        return self._convergence(command)

    def workers(self) -> tuple[WorkerStatus, ...]:
        """Every worker heard of lately, by name."""
        now = self._clock()
        return tuple(
            WorkerStatus(
                worker=name,
                version=worker.poll.applied,
                alive=worker.alive(now),
                refused=worker.poll.refused,
                why=worker.poll.why,
                seen_at=worker.seen_at,
            )
            for name, worker in sorted(self._workers.items())
        )

    async def _next_change(self) -> None:
        # A worker that dies in silence changes nothing, so look again before it counts as gone.
        try:
            async with asyncio.timeout(GONE_AFTER / 4_000_000):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _forget(self) -> None:
        """Drops workers that have been gone for long: their names are those of processes, which never come back."""
        horizon = self._clock() - 150 * GONE_AFTER
        self._workers = {name: worker for name, worker in self._workers.items() if worker.open or worker.closed_at > horizon}

    def _alive(self) -> list[Poll]:
        now = self._clock()
        return [worker.poll for _, worker in sorted(self._workers.items()) if worker.alive(now)]

    def _serves(self, poll: Poll, version: int) -> bool:
        # A worker ahead of this control plane serves from a table of another history, such as before a restored backup.
        return version <= poll.applied <= self._table.version

    def _decided(self, command: Command) -> bool:
        alive = self._alive()
        if any(poll.refused >= command.version > poll.applied for poll in alive):
            return True
        if self._clock() <= self._grown_up and (self._resumed or not alive):
            return False
        return all(self._serves(poll, command.version) for poll in alive)

    def _convergence(self, command: Command) -> Convergence:
        alive = self._alive()
        served = [poll for poll in alive if self._serves(poll, command.version)]
        return Convergence(
            version=command.version,
            converged=bool(alive) and len(served) == len(alive),
            elapsed_ms=_milliseconds(self._clock() - command.since),
            workers=tuple(_acknowledged(poll, command) for poll in served),
            laggards=tuple(
                _laggard(poll, command, newest=self._table.version) for poll in alive if not self._serves(poll, command.version)
            ),
        )


def _acknowledged(poll: Poll, command: Command) -> Acknowledged:
    return Acknowledged(
        worker=poll.worker,
        version=poll.applied,
        applied_at=poll.applied_us,
        applied_ms=_milliseconds(poll.applied_us - command.since),
        last_request_ms={name: _after(poll.last.get(name, 0), command.since) for name in command.bereft},
    )


def _laggard(poll: Poll, command: Command, *, newest: int) -> Laggard:
    if poll.refused >= command.version:
        reason = f"refused table {poll.refused}: {poll.why or 'no reason given'}"
    elif poll.applied > newest:
        reason = (
            f"serves from table {poll.applied}, which this control plane never published: the database is older than that table"
        )
    else:
        reason = "has not taken the table yet"
    return Laggard(worker=poll.worker, version=poll.applied, reason=reason)


def _after(moment: int, since: int) -> float | None:
    return _milliseconds(moment - since) if moment > since else None


def _milliseconds(microseconds: int) -> float:
    return round(microseconds / 1000, 3)
