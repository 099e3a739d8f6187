"""What a route's traffic was like in the last days, whatever rollouts it had: what a plan assumes of the days to come."""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from modelctl.store.tables import pivot, rollout, rollup


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


def past_sums(connection: Connection, route: str, *, since: int, metrics: Sequence[str]) -> tuple[PastSum, ...]:
    """The route's sums of these metrics from the minute `since` (Unix time / 60 s) on, added up over stages and minutes."""
    table = rollup.c
    recent = select(rollout.c.id).where(
        rollout.c.route == route, (rollout.c.closed_at == 0) | (rollout.c.closed_at >= since * 60_000_000)
    )
    ids = [0, *connection.execute(recent).scalars()]
    keys: list[Any] = [table.rollout, table.arm, table.metric, table.key]
    totals = [func.sum(column).label(column.name) for column in (table.n, table.k, table.s1, table.s2)]
    query = (
        select(*keys, *totals)
        .where(table.route == route, table.rollout.in_(ids), table.metric.in_(metrics), table.minute >= since)
        .group_by(*keys)
        .order_by(*keys)
    )
    pivots = {(row.rollout, row.metric): row.value for row in connection.execute(select(pivot).where(pivot.c.route == route))}
    return tuple(
        PastSum(
            row.rollout,
            row.arm,
            row.metric,
            row.key,
            int(row.n),
            int(row.k),
            float(row.s1),
            float(row.s2),
            pivots.get((row.rollout, row.metric), 0.0),
        )
        for row in connection.execute(query)
    )


def requests_since(connection: Connection, route: str, *, since: int) -> tuple[int, int | None]:
    """How many requests the route answered from the minute `since` on, and the first minute it did; None without any."""
    table = rollup.c
    query = select(func.sum(table.n), func.min(table.minute)).where(
        table.route == route, table.metric == "requests", table.minute >= since
    )
    total, first = connection.execute(query).one()
    return int(total or 0), first
