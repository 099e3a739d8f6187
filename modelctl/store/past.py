"""What a route's traffic was like in the last days, whatever rollouts it had: what a plan assumes of the days to come."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from modelctl.store.summing import minutes_of, same_key
from modelctl.store.tables import pivot, rollout, rollup, rollup_total

_LATENCY = "latency"
_SUMS = ("n", "k", "s1", "s2")
_KEYS = tuple(rollup_total.c[name] for name in ("rollout", "arm", "metric", "key"))


class PastSum(msgspec.Struct, frozen=True):
    """The sums of one rollout (0 for none), arm, metric and key. `pivot` was taken off every value."""

    rollout: int
    arm: str
    metric: str
    key: str
    n: int
    k: int
    s1: float
    s2: float
    pivot: float = 0.0


class Window(msgspec.Struct, frozen=True):
    """What counts as lately, in minutes of Unix time: latencies have many rows a minute, so of them less is read."""

    since: int
    latencies_since: int


def past_sums(connection: Connection, route: str, *, window: Window, metrics: Sequence[str]) -> tuple[PastSum, ...]:
    """The route's sums of these metrics, added up over stages and minutes: of the window, and of every rollout that reaches into
    it the whole."""
    late = (rollout.c.closed_at == 0) | (rollout.c.closed_at >= window.since * 60_000_000)
    recent = list(connection.execute(select(rollout.c.id).where(rollout.c.route == route, late)).scalars())
    pivots = {(row.rollout, row.metric): row.value for row in connection.execute(select(pivot).where(pivot.c.route == route))}
    rows = [
        *_whole(connection, route, rollouts=recent, metrics=metrics),
        *_since(connection, route, since=window.since, metrics=[name for name in metrics if name != _LATENCY]),
        *_since(connection, route, since=window.latencies_since, metrics=[name for name in metrics if name == _LATENCY]),
    ]
    found = (_past(row, pivots) for row in rows)
    return tuple(sorted(found, key=lambda one: (one.rollout, one.arm, one.metric, one.key)))


def requests_since(connection: Connection, route: str, *, since: int) -> tuple[int, int | None]:
    """How many requests the route answered from the minute `since` on, and the first minute it did; None without any."""
    total = rollup_total.c
    lately = (same_key(), rollup.c.minute >= since)
    # One range of the index for each key: as a join, SQLite would look through all minutes of the route.
    counted = select(func.sum(rollup.c.n)).where(*lately).scalar_subquery()
    first = select(func.min(rollup.c.minute)).where(*lately).scalar_subquery()
    query = select(func.sum(counted), func.min(first)).where(total.route == route, total.metric == "requests")
    row = connection.execute(query).one()
    return int(row[0] or 0), row[1]


def _whole(connection: Connection, route: str, *, rollouts: Sequence[int], metrics: Sequence[str]) -> Sequence[Row[Any]]:
    total = rollup_total.c
    added = [func.sum(total[name]).label(name) for name in _SUMS]
    query = select(*_KEYS, *added).where(total.route == route, total.rollout.in_(rollouts), total.metric.in_(metrics))
    return connection.execute(query.group_by(*_KEYS)).all()


def _since(connection: Connection, route: str, *, since: int, metrics: Sequence[str]) -> Sequence[Row[Any]]:
    """What was answered without a rollout."""
    total = rollup_total.c
    keys, source = minutes_of(total.route == route, total.rollout == 0, total.metric.in_(metrics))
    grouped = (keys.rollout, keys.arm, keys.metric, keys.key)
    added = [func.sum(rollup.c[name]).label(name) for name in _SUMS]
    query = select(*grouped, *added).select_from(source).where(rollup.c.minute >= since)
    return connection.execute(query.group_by(*grouped)).all()


def _past(row: Row[Any], pivots: Mapping[tuple[int, str], float]) -> PastSum:
    n, k, s1, s2 = int(row.n), int(row.k), float(row.s1), float(row.s2)
    return PastSum(row.rollout, row.arm, row.metric, row.key, n, k, s1, s2, pivots.get((row.rollout, row.metric), 0.0))
