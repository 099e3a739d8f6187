"""Rollups added up over minutes: all that a status or a report costs, however many rows there are."""

from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from modelctl.store.tables import pivot, rollup


class Sum(msgspec.Struct, frozen=True):
    """The sums of one stage, arm, metric and key. `recorder.rollups` says what each metric's key and sums are."""

    stage: int
    arm: str
    metric: str
    key: str
    n: int = 0
    k: int = 0
    s1: float = 0.0
    s2: float = 0.0
    sp: float = 0.0


def sums(connection: Connection, route: str, *, rollout: int, since: int = 0, metrics: tuple[str, ...] = ()) -> tuple[Sum, ...]:
    """The route's sums under a rollout (0 for none) from the minute `since` (Unix time / 60 s) on; without names of all metrics."""
    table = rollup.c
    keys: list[Any] = [table.stage, table.arm, table.metric, table.key]
    totals = [func.sum(column).label(column.name) for column in (table.n, table.k, table.s1, table.s2, table.sp)]
    query = select(*keys, *totals).where(table.route == route, table.rollout == rollout)
    if since:
        query = query.where(table.minute >= since)
    if metrics:
        query = query.where(table.metric.in_(metrics))
    rows = connection.execute(query.group_by(*keys).order_by(*keys))
    return tuple(
        Sum(row.stage, row.arm, row.metric, row.key, int(row.n), int(row.k), float(row.s1), float(row.s2), float(row.sp))
        for row in rows
    )


def pivots(connection: Connection, route: str, *, rollout: int) -> dict[str, float]:
    """What was taken off every value of a metric before it was summed."""
    rows = connection.execute(select(pivot).where(pivot.c.route == route, pivot.c.rollout == rollout))
    return {row.metric: row.value for row in rows}


def newest_minute(connection: Connection, route: str, *, rollout: int) -> int | None:
    """The last minute (Unix time / 60 s) there is evidence of; None when there is none."""
    query = select(func.max(rollup.c.minute)).where(rollup.c.route == route, rollup.c.rollout == rollout)
    found: int | None = connection.execute(query).scalar()
    return found
