"""Many routes at a glance, each question in one query however many they are.

Every function takes the connection of the caller's transaction. Minutes are Unix time / 60 s.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from modelctl.rollout import Rollout
from modelctl.store.catalog import read_rollout
from modelctl.store.summing import minutes_of
from modelctl.store.tables import rollout, rollup, rollup_total

_SERVED = ("requests", "error")
_LATENCIES = ("latency", "latency_warm")  # a verdict leaves the first minute of a stage out; people want to see it


class Served(NamedTuple):
    """What one arm of a route answered: requests, those that count for an error rate, and the failures among them."""

    requests: int = 0
    counted: int = 0
    failures: int = 0


class Minute(NamedTuple):
    """The same of one minute."""

    minute: int
    arm: str
    served: Served


class Bucket(NamedTuple):
    """How many answers of a backend fell into a bucket of latency."""

    arm: str
    key: str
    n: int


def served_since(connection: Connection, routes: Sequence[str], *, since: int) -> dict[tuple[str, int, str], Served]:
    """By route, rollout (0 for none) and arm, over the minutes from `since` on."""
    total = rollup_total.c
    keys, source = minutes_of(total.route.in_(routes), total.metric.in_(_SERVED))
    query = select(
        keys.route, keys.rollout, keys.arm, keys.metric, func.sum(rollup.c.n).label("n"), func.sum(rollup.c.k).label("k")
    )
    query = query.select_from(source).where(rollup.c.minute >= since)
    found: dict[tuple[str, int, str], Served] = {}
    for row in connection.execute(query.group_by(keys.route, keys.rollout, keys.arm, keys.metric)):
        key = (row.route, row.rollout, row.arm)
        found[key] = _with(found.get(key, Served()), row.metric, n=int(row.n), k=int(row.k))
    return found


def by_minute(connection: Connection, route: str, *, rollouts: Sequence[int], since: int) -> tuple[Minute, ...]:
    """The arms of a route, minute by minute from `since` on, in their order."""
    total = rollup_total.c
    keys, source = minutes_of(total.route == route, total.rollout.in_(rollouts), total.metric.in_(_SERVED))
    columns = (rollup.c.minute, keys.arm, keys.metric)
    query = select(*columns, func.sum(rollup.c.n).label("n"), func.sum(rollup.c.k).label("k")).select_from(source)
    found: dict[tuple[int, str], Served] = {}
    for row in connection.execute(query.where(rollup.c.minute >= since).group_by(*columns)):
        key = (row.minute, row.arm)
        found[key] = _with(found.get(key, Served()), row.metric, n=int(row.n), k=int(row.k))
    return tuple(Minute(minute, arm, served) for (minute, arm), served in sorted(found.items()))


def last_rollouts(connection: Connection, routes: Sequence[str]) -> dict[str, Rollout]:
    """The newest rollout of each of the routes that had one, open or ended."""
    newest = select(func.max(rollout.c.id)).where(rollout.c.route.in_(routes)).group_by(rollout.c.route)
    rows = connection.execute(select(rollout).where(rollout.c.id.in_(newest)))
    return {row.route: read_rollout(row) for row in rows}


def latencies_since(connection: Connection, backends: Sequence[str], *, routes: Sequence[str], since: int) -> tuple[Bucket, ...]:
    """The answers of backends on these routes by bucket of latency, over the minutes from `since` on."""
    total = rollup_total.c
    keys, source = minutes_of(total.route.in_(routes), total.arm.in_(backends), total.metric.in_(_LATENCIES))
    query = select(keys.arm, keys.key, func.sum(rollup.c.n).label("n")).select_from(source).where(rollup.c.minute >= since)
    return tuple(Bucket(row.arm, row.key, int(row.n)) for row in connection.execute(query.group_by(keys.arm, keys.key)))


def _with(served: Served, metric: str, *, n: int, k: int) -> Served:
    if metric == "requests":
        return served._replace(requests=served.requests + n)
    return served._replace(counted=served.counted + n, failures=served.failures + k)
