"""Retention in small steps: each transaction is short, and between two of them everybody else may write.

A step takes at most MOST_ROWS predictions and is made smaller when it took longer than LONG seconds: a recorder waits for SQLite's
only write lock at most that long. The pause behind a step is as long as the step, so that half of the time is others'.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import NamedTuple

from sqlalchemy import Connection, Engine, Table

from modelctl.errors import Busy
from modelctl.store import retention, route_size
from modelctl.store.day_sweep import DayGone, DayOut, Limits, free_days, oldest_days
from modelctl.store.days import Days
from modelctl.store.engine import reading, writing
from modelctl.store.partitions import detached_days
from modelctl.store.retention import Removed

MOST_ROWS = 1_000
FEWEST_ROWS = 20
LONG, SHORT = 0.05, 0.02
SHORTEST_PAUSE = 0.02
TRIES = 20
"""How often a step is tried for which somebody else holds the lock, until the next sweep."""
ENDED_SECONDS = 30 * 86_400
"""How long what only an open rollout needs stays behind its end."""

Work = Callable[[Connection, int], Removed]


class Wish(NamedTuple):
    """What to keep. Without `older_than` (seconds) each route's own setting holds; `most` is in bytes; 0 is no limit for both."""

    route: str | None = None
    older_than: int = 0
    most: int = 0
    thorough: bool = False  # looks for pairs without a prediction too, for which all old pairs are read


class Pace:
    """How many rows a step takes, and how long to wait behind it. Knows no clock."""

    def __init__(self) -> None:
        self.rows = 200
        self.pause = SHORTEST_PAUSE
        self.longest = 0.0

    def took(self, seconds: float) -> None:
        """Learn from one step."""
        self.longest = max(self.longest, seconds)
        self.pause = max(SHORTEST_PAUSE, seconds)
        if seconds > LONG:
            self.rows = max(FEWEST_ROWS, self.rows // 2)
        elif seconds < SHORT:
            self.rows = min(MOST_ROWS, self.rows * 2)


class Sweep:
    """One pass over everything that may go. `removed` is what went so far."""

    def __init__(self, engine: Engine, works: Iterable[Work]) -> None:
        self._engine = engine
        self._works = deque(works)
        self._busy = 0
        self.pace = Pace()
        self.removed = Removed()

    def step(self) -> bool:
        """One transaction; whether there is more to do. Raises StoreError, after which it can be called again."""
        if not self._works:
            return False
        limit = self.pace.rows
        try:
            removed = self._done(limit)
        except Busy:
            self._busy += 1
            removed = Removed(chosen=limit if self._busy < TRIES else 0)
        self.removed = self.removed.plus(removed)
        if removed.chosen < limit:
            self._busy = 0
            self._works.popleft()
        return bool(self._works)

    def _done(self, limit: int) -> Removed:
        with writing(self._engine) as connection:
            began = time.monotonic()
            removed = self._works[0](connection, limit)
        self.pace.took(time.monotonic() - began)
        return removed


def finish(sweep: Sweep) -> None:
    """All steps, with the pauses between them."""
    while sweep.step():
        time.sleep(sweep.pace.pause)


def sweep_of(engine: Engine, wish: Wish, *, at: int) -> Sweep:
    """The pass that makes the wish true at Unix microsecond `at`, but for the size. Raises StoreError."""
    with reading(engine) as connection:
        limits = _limits(retention.keeps(connection), wish, at=at)
        too_many = _too_many(connection, wish)
        works: list[Work] = [DayGone(day) for day in detached_days(connection)]
        works += _whole(free_days(connection, limits, at=at), limits=limits)
    works += [partial(_older, name=name, before=before) for name, before in limits.items()]
    works += [_Oldest(count, name) for name, count in too_many.items()]
    if wish.thorough:
        works += [partial(_single, name=name, before=before) for name, before in limits.items()]
    if wish.route is None:
        works += _of_nobody(limits, at=at, all_limited=wish.older_than > 0)
    return Sweep(engine, works)


def due(engine: Engine, wish: Wish, *, at: int) -> dict[str, int]:
    """How many predictions of each route would go for their age. Raises StoreError."""
    with reading(engine) as connection:
        limits = _limits(retention.keeps(connection), wish, at=at)
        return {name: retention.count_older(connection, name, before=before) for name, before in limits.items()}


def too_large(engine: Engine, wish: Wish) -> dict[str, int]:
    """How many of the oldest predictions of each route would go for the route's own limit of size. Raises StoreError."""
    with reading(engine) as connection:
        return _too_many(connection, wish)


def _too_many(connection: Connection, wish: Wish) -> dict[str, int]:
    """A wish that names a limit holds in place of the routes' own."""
    if wish.older_than or wish.most:
        return {}
    found = {
        name: route_size.surplus_of(connection, name, most=most)
        for name, most in route_size.limits(connection).items()
        if wish.route in (None, name)
    }
    return {name: count for name, count in found.items() if count}


def surplus_sweep(engine: Engine, wish: Wish) -> tuple[int, Sweep]:
    """How many of the oldest predictions are too many for the wished size, and the pass that takes them. Raises StoreError."""
    with reading(engine) as connection:
        count = retention.surplus(connection, wish.most, name=wish.route) if wish.most else 0
        days = oldest_days(connection, count) if count and wish.route is None else []
    if days:
        return count, Sweep(engine, _whole(days))
    return count, Sweep(engine, [_Oldest(count, wish.route)] if count else [])


def _whole(days: Iterable[Days], limits: Limits | None = None) -> list[Work]:
    return [work for day in days for work in (DayOut(day, limits=limits), DayGone(day))]


class _Oldest:
    def __init__(self, count: int, name: str | None) -> None:
        self._left = count
        self._name = name

    def __call__(self, connection: Connection, limit: int) -> Removed:
        removed = retention.remove_oldest(connection, limit=min(limit, self._left), name=self._name)
        self._left -= removed.predictions
        return removed if self._left else removed._replace(chosen=0)


def _limits(kept: Mapping[str, int], wish: Wish, *, at: int) -> dict[str, int]:
    """Up to which time the rows of each route go."""
    seconds = {name: wish.older_than or own for name, own in kept.items() if wish.route in (None, name)}
    return {name: at - 1_000_000 * value for name, value in seconds.items() if value}


def _of_nobody(limits: Mapping[str, int], *, at: int, all_limited: bool) -> list[Work]:
    """What belongs to no route: feedback about unknown requests goes with the oldest rows of an explicit limit only."""
    ended = at - ENDED_SECONDS * 1_000_000
    works: list[Work] = [partial(_ended, table=table, before=ended) for table in retention.OF_ROLLOUTS]
    if all_limited and limits:
        works.append(partial(_unmatched, before=min(limits.values())))
    return [*works, _tables]


def _older(connection: Connection, limit: int, *, name: str, before: int) -> Removed:
    return retention.remove_older(connection, name, before=before, limit=limit)


def _single(connection: Connection, limit: int, *, name: str, before: int) -> Removed:
    return retention.remove_single_pairs(connection, name, before=before, limit=limit)


def _unmatched(connection: Connection, limit: int, *, before: int) -> Removed:
    return retention.remove_unmatched(connection, before, limit=limit)


def _ended(connection: Connection, limit: int, *, table: Table, before: int) -> Removed:
    return retention.remove_of_ended(connection, table, before=before, limit=limit)


def _tables(connection: Connection, limit: int) -> Removed:
    return retention.remove_tables(connection, limit=limit)
