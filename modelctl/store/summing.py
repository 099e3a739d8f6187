"""Rollups added up over minutes: all that a status or a report costs, however many rows and minutes there are."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Row, and_, func, select

from modelctl.store.engine import upsert_adding
from modelctl.store.tables import pivot, rollup, rollup_total

_SUMS = ("n", "k", "s1", "s2", "sp")
_ALL = 1 << 31
_TOUCHED = ("requests", "units", "funnel")
"""Every record is counted in one of these metrics."""


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


def add(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds rows of `rollup` to what is there, and to its totals."""
    upsert_adding(connection, rollup, rows=rows)
    upsert_adding(connection, rollup_total, rows=_over_minutes(rows))


def _over_minutes(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    totals: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        key = tuple([row[column.name] for column in rollup_total.primary_key])
        total = totals.get(key)
        if total is None:
            totals[key] = {name: value for name, value in row.items() if name != "minute"}
        else:
            for name in _SUMS:
                total[name] += row[name]
    return list(totals.values())


def sums(connection: Connection, route: str, *, rollout: int, since: int = 0, metrics: tuple[str, ...] = ()) -> tuple[Sum, ...]:
    """The route's sums under a rollout (0 for none) from the minute `since` (Unix time / 60 s) on; without names of all metrics."""
    total = rollup_total.c
    where = [total.route == route, total.rollout == rollout]
    where += [total.metric.in_(metrics)] if metrics else []
    if since:
        keys, source = minutes_of(*where)
        added = [func.sum(rollup.c[name]).label(name) for name in _SUMS]
        query = select(keys.stage, keys.arm, keys.metric, keys.key, *added).select_from(source).where(rollup.c.minute >= since)
        query = query.group_by(keys.stage, keys.arm, keys.metric, keys.key)
    else:
        query = select(rollup_total).where(*where)
    found = map(_sum, connection.execute(query))
    return tuple(sorted(found, key=lambda one: (one.stage, one.arm, one.metric, one.key)))


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a judgement reads of a rollout: these stages, arms and metrics, and no other row."""

    route: str
    rollout: int
    stages: tuple[int, ...]
    arms: tuple[str, ...]
    metrics: tuple[str, ...]


def sums_of(connection: Connection, part: Part) -> tuple[tuple[Sum, ...], int | None]:
    """The sums of one part in the order of their keys, and the last minute (Unix time / 60 s) with evidence in it.

    Each stage, arm and metric is one range of the primary key, so what else was recorded costs nothing.
    """
    total = rollup_total.c
    mine = (
        total.route == part.route,
        total.rollout == part.rollout,
        total.stage.in_(part.stages),
        total.arm.in_(part.arms),
    )
    query = select(rollup_total).where(*mine, total.metric.in_(part.metrics))
    rows = connection.execute(query.order_by(total.stage, total.arm, total.metric, total.key))
    return tuple(map(_sum, rows)), _newest(connection, *mine)


def _sum(row: Row[Any]) -> Sum:
    return Sum(row.stage, row.arm, row.metric, row.key, int(row.n), int(row.k), float(row.s1), float(row.s2), float(row.sp))


def pivots(connection: Connection, route: str, *, rollout: int) -> dict[str, float]:
    """What was taken off every value of a metric before it was summed."""
    rows = connection.execute(select(pivot).where(pivot.c.route == route, pivot.c.rollout == rollout))
    return {row.metric: row.value for row in rows}


def newest_minute(connection: Connection, route: str, *, rollout: int) -> int | None:
    """The last minute (Unix time / 60 s) there is evidence of; None when there is none."""
    return _newest(connection, rollup_total.c.route == route, rollup_total.c.rollout == rollout)


def _newest(connection: Connection, *mine: ColumnElement[bool]) -> int | None:
    newest = select(func.max(rollup.c.minute)).where(same_key()).scalar_subquery()
    found: int | None = connection.execute(select(func.max(newest)).where(*mine, rollup_total.c.metric.in_(_TOUCHED))).scalar()
    return found


def same_key() -> ColumnElement[bool]:
    """A row of `rollup` belongs to a row of its totals: the start of the key, so that one of its minutes is found by the index."""
    return and_(*(rollup.c[column.name] == column for column in rollup_total.primary_key))


def minutes_of(*where: ColumnElement[bool]) -> tuple[Any, FromClause]:
    """The columns of the totals' rows that are chosen, and these rows joined with those of `rollup` of the same key.

    The choice is made first, so that each key's minutes are one range of the index: asked at once, SQLite would go through all
    minutes of the route.
    """
    chosen = select(*rollup_total.primary_key).where(*where).limit(_ALL).cte("chosen")
    on = and_(*(rollup.c[column.name] == chosen.c[column.name] for column in rollup_total.primary_key))
    return chosen.c, chosen.join(rollup, on)
