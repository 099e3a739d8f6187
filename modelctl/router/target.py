"""One backend: its endpoints, its limits, and what waits for room."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from modelctl import evidence
from modelctl.endpoint import parse_endpoint
from modelctl.router.addresses import Addresses, Resolve
from modelctl.router.clock import Clock
from modelctl.router.dial import Dialer, Dialers
from modelctl.router.health import Pulse
from modelctl.router.pool import Pool
from modelctl.router.retry import RetryBudget
from modelctl.router.room import Limit, Room, Waiting
from modelctl.router.roster import EndpointState, Report, Roster, unheard
from modelctl.router.upkeep import Upkeep
from modelctl.router.upstream import Leg
from modelctl.router.watch import Watch
from modelctl.traffic import Backend

STREAM_IDLE = 300.0
_ANY = -1


class Expiring(Protocol):
    """A request between two attempts. After `until` (the clock's seconds) none may begin."""

    until: float

    def expired(self) -> None:
        """That time has passed."""


class Target:
    """Legs beyond the limit in flight wait; beyond what may wait they are refused.

    With `kin`, another Target of the same backend, it goes by that one's look-ups and health checks. `report(event, text)` is told
    what changes about the endpoints.
    """

    def __init__(
        self,
        backend: Backend,
        clock: Clock,
        *,
        limit: Limit | None = None,
        dialers: Dialers | None = None,
        report: Report = unheard,
        kin: "Target | None" = None,
    ) -> None:
        self.backend = backend
        self.clock = clock
        self.limit = limit or Limit(backend.max_inflight, backend.max_pending, 1 << 40)
        self.timeouts = (backend.response_timeout_ms / 1000, STREAM_IDLE)
        self.connect_timeout = backend.connect_timeout_ms / 1000
        self.retired = False
        dialers = dialers or Dialers(report=report)
        self.dialer: Dialer = kin.dialer if kin is not None else dialers.dialer(backend)
        self.addresses: list[Addresses] = kin.addresses if kin is not None else _addresses(backend, dialers.resolve, now=clock.now)
        self.pulses: list[Pulse] = kin.pulses if kin is not None else _pulses(backend, clock.now)
        retries = backend.retries
        self.budget = None if retries is None else RetryBudget(retries)
        self.attempt_timeout = (retries.attempt_timeout_ms / 1000 if retries is not None else 0) or self.timeouts[0]
        self.trials: set[Expiring] = set()
        self.retried = 0
        self.budget_exhausted = 0
        self._room = Room(self.limit)
        self._roster = Roster(backend, clock.now, pulses=self.pulses, report=report)
        self.pools = [self._pool(number) for number in range(len(backend.endpoints))]
        self._only = self.pools[0] if len(self.pools) == 1 else None
        self._tasks: set[asyncio.Task[None]] = set()
        self._chores: set[asyncio.Task[None]] = set()
        self._upkeep: Upkeep | None = None
        if kin is None:
            self._upkeep = Upkeep(
                backend.name,
                self.addresses,
                pulses=self.pulses,
                openers=self.pools,
                report=report,
                on_change=lambda: self._roster.tick(clock.now),
            )

    def _pool(self, number: int) -> Pool:
        """The pool of one endpoint; it is watched where there is a choice."""
        candidate = self._roster.candidate(number)
        watch = None
        if len(self.backend.endpoints) > 1:
            rule = self.backend.ejection
            watch = Watch(candidate, self.clock, consecutive=rule.consecutive if rule else 0, on_streak=self._roster.on_streak)
            self._roster.watches.append(watch)
        return Pool(self, self._room, candidate=candidate, watch=watch, addresses=self.addresses[number])

    # -- legs

    def send(self, leg: Leg, size: int = 0) -> bool:
        """Carry `leg` now or when there is room; `size` is what it holds in memory. False: no room, nothing happened."""
        if self._room.enter():
            only = self._only
            (only if only is not None else self._pick(_ANY)).take(leg)
            return True
        return self._room.wait(Waiting(leg, size, self.clock.now, _ANY))

    def again(self, leg: Leg, avoid: Pool | None, *, size: int = 0, fresh: bool = False) -> bool:
        """Like `send`, before all who wait, and on another endpoint than that of `avoid` when there is one.

        `fresh`: on a connection that has carried nothing yet.
        """
        number = avoid.candidate.number if avoid is not None and avoid in self.pools else _ANY
        waiting = Waiting(leg, size, self.clock.now, number, fresh)
        if self._room.enter():
            self.start(waiting)
            return True
        return self._room.wait(waiting, first=True)

    def start(self, waiting: Waiting) -> None:
        """Part of Home."""
        self._pick(waiting.avoid).take(waiting.leg, fresh=waiting.fresh)

    def forget(self, leg: Leg) -> None:
        """A leg that waits, for room or for a connection, gave up. One that does neither is not known here."""
        if not self._room.forget(leg):
            any(pool.forget(leg) for pool in self.pools)

    def _pick(self, avoid: int) -> Pool:
        if self._only is not None:
            return self._only
        if avoid == _ANY:
            return self.pools[self._roster.pick(self.clock.now)]
        return self.pools[self._roster.pick_but((avoid,), self.clock.now)]

    def other_than(self, tried: tuple[Pool, ...]) -> Pool | None:
        """Part of Home."""
        number = self._roster.pick_but([pool.candidate.number for pool in tried], self.clock.now)
        return self.pools[number] if number >= 0 else None

    @property
    def busy(self) -> bool:
        """Whether it carries anything or something waits for it."""
        return self._room.busy

    # -- life

    def succeed(self, old: "Target") -> None:
        """It takes the place of `old`, the same backend as it was described before: endpoints that stay are known."""
        self._roster.resemble(old._roster, self.clock.now)
        before = {addresses.endpoint: addresses for addresses in old.addresses}
        for addresses in self.addresses:
            if addresses.endpoint in before:
                addresses.resemble(before[addresses.endpoint])

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Part of Home: a connection attempt belongs to its backend, and is finished for whoever waits for it."""
        _keep(work, self._tasks)

    def _spawn_chore(self, work: Coroutine[Any, Any, None]) -> None:
        _keep(work, self._chores)

    def sweep(self, now: float) -> None:
        """Once per tick: deadlines and idle connections. Nothing waits for room longer than it may wait for an answer."""
        for waiting in self._room.late(now - self.timeouts[0]):
            waiting.leg.on_broken(evidence.OVERLOAD)
        for trial in [trial for trial in self.trials if trial.until < now]:
            trial.expired()
        if self._upkeep is not None and not self.retired:
            self._upkeep.tick(now, self._spawn_chore)
        if self._only is None or self.pulses:
            self._roster.tick(now)
        oldest = now - self.backend.pool_idle_ms / 1000
        for pool in self.pools:
            pool.sweep(now, oldest)

    def endpoints_state(self) -> tuple[EndpointState, ...]:
        """Each endpoint as this router sees it now."""
        return self._roster.states(self.clock.now)

    def retire(self) -> None:
        """The table does not hold this backend any more: what is in flight finishes, nothing is kept or looked after."""
        self.retired = True
        self._roster.silence()
        for task in self._chores:
            task.cancel()
        for addresses in self.addresses if self._upkeep is not None else ():
            addresses.stop()
        for pool in self.pools:
            pool.close_idle()


def _addresses(backend: Backend, resolve: Resolve, *, now: float) -> list[Addresses]:
    return [Addresses(parse_endpoint(url), resolve, now=now) for url in backend.endpoints]


def _pulses(backend: Backend, now: float) -> list[Pulse]:
    rule = backend.health
    return [] if rule is None else [Pulse(rule, now) for _ in backend.endpoints]


def _keep(work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
