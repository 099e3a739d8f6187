"""Rollups added up over minutes: all that a status or a report costs, however many rows there are."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from modelctl.store.tables import pivot, rollup

_LATENCY = "latency"


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
    return tuple(map(_sum, connection.execute(query.group_by(*keys).order_by(*keys))))


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a judgement reads of a rollout: these stages, arms and metrics, and no other row."""

    route: str
    rollout: int
    stages: tuple[int, ...]
    arms: tuple[str, ...]
    metrics: tuple[str, ...]


def sums_of(connection: Connection, part: Part) -> tuple[tuple[Sum, ...], int | None]:
    """The sums of one part in the order of their keys, and the last minute (Unix time / 60 s) in it.

    Each stage, arm and metric is one range of the primary key, so what else was recorded costs nothing. Of latencies only the
    counts are added up: they are most of the rows.
    """
    table = rollup.c
    rest = tuple(metric for metric in part.metrics if metric != _LATENCY)
    found = list(_grouped(connection, part, metrics=rest, columns=(table.n, table.k, table.s1, table.s2, table.sp)))
    if _LATENCY in part.metrics:
        found += _grouped(connection, part, metrics=(_LATENCY,), columns=(table.n,))
    found.sort(key=lambda row: (row.stage, row.arm, row.metric, row.key))
    return tuple(map(_sum, found)), max((int(row.minute) for row in found), default=None)


def _grouped(connection: Connection, part: Part, *, metrics: tuple[str, ...], columns: tuple[Any, ...]) -> list[Row[Any]]:
    table = rollup.c
    keys: list[Any] = [table.stage, table.arm, table.metric, table.key]
    totals = [func.sum(column).label(column.name) for column in columns]
    query = select(*keys, func.max(table.minute).label("minute"), *totals).where(
        table.route == part.route,
        table.rollout == part.rollout,
        table.stage.in_(part.stages),
        table.arm.in_(part.arms),
        table.metric.in_(metrics),
    )
    return list(connection.execute(query.group_by(*keys)))


def _sum(row: Row[Any]) -> Sum:
    found = row._mapping
    n, k, *sums = (found.get(name, 0) for name in ("n", "k", "s1", "s2", "sp"))
    return Sum(row.stage, row.arm, row.metric, row.key, int(n), int(k), *map(float, sums))


def pivots(connection: Connection, route: str, *, rollout: int) -> dict[str, float]:
    """What was taken off every value of a metric before it was summed."""
    rows = connection.execute(select(pivot).where(pivot.c.route == route, pivot.c.rollout == rollout))
    return {row.metric: row.value for row in rows}


def newest_minute(connection: Connection, route: str, *, rollout: int) -> int | None:
    """The last minute (Unix time / 60 s) there is evidence of; None when there is none."""
    query = select(func.max(rollup.c.minute)).where(rollup.c.route == route, rollup.c.rollout == rollout)
    found: int | None = connection.execute(query).scalar()
    return found
