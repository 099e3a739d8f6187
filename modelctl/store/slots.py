"""Rollups of a rollout in equal slots of time: how its sums grew. The number of slots is bounded, however long it lasts."""

from collections.abc import Iterator

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, func, select

from modelctl.store.summing import Part, Sum, same_key
from modelctl.store.tables import rollup, rollup_total

_SUMS = ("n", "k", "s1", "s2", "sp")
_KEYS = ("stage", "arm", "metric", "key")


ROWS = 300_000
"""How many rows of `rollup` are read for it: about half a second's work."""


class Slot(msgspec.Struct, frozen=True):
    """The sums of some minutes; `end` is the minute (Unix time / 60 s) behind them."""

    end: int
    sums: tuple[Sum, ...]


def slots(connection: Connection, part: Part, *, most: int) -> tuple[Slot, ...]:
    """At most `most` slots of as many minutes each, in the order of time; those without sums are left out."""
    first, last = _span(connection, part)
    if first is None or last is None:
        return ()
    width = -(-(last - first + 1) // most)
    place = ((rollup.c.minute - first) // width).label("place")
    columns = [rollup.c[name] for name in _KEYS]
    added = [func.sum(rollup.c[name]).label(name) for name in _SUMS]
    query = select(place, *columns, *added).where(*_of(rollup, part)).group_by(place, *columns).order_by(place, *columns)
    found: dict[int, list[Sum]] = {}
    for row in connection.execute(query):
        one = Sum(row.stage, row.arm, row.metric, row.key, int(row.n), int(row.k), float(row.s1), float(row.s2), float(row.sp))
        found.setdefault(int(row.place), []).append(one)
    return tuple(Slot(first + (place + 1) * width, tuple(sums)) for place, sums in found.items())


def affordable(connection: Connection, part: Part, *, rows: int = ROWS) -> Part:
    """The part with as many of its metrics as have `rows` rows together, those with few first.

    A metric has at most a row for each of its keys and minutes. Latencies have a key for each bucket: a week of them is too much.
    """
    first, last = _span(connection, part)
    if first is None or last is None:
        return part
    mine = [rollup_total.c[name] for name in ("metric", "arm", "key")]
    keys = select(*mine).where(*_of(rollup_total, part)).distinct().subquery()
    query = select(keys.c.metric, func.count().label("keys")).group_by(keys.c.metric).order_by("keys", keys.c.metric)
    chosen, left = set(part.metrics), rows
    for row in connection.execute(query):
        left -= int(row.keys) * (last - first + 1)
        if left < 0:
            chosen.discard(row.metric)
    return msgspec.structs.replace(part, metrics=tuple(name for name in part.metrics if name in chosen))


def _span(connection: Connection, part: Part) -> tuple[int | None, int | None]:
    """The first and the last minute: each key's are found by the index."""
    mine = tuple(_of(rollup_total, part))
    ends = []
    for end in (func.min, func.max):
        minute = select(end(rollup.c.minute)).where(same_key()).scalar_subquery()
        ends.append(connection.execute(select(end(minute)).where(*mine)).scalar())
    return ends[0], ends[1]


def _of(table: Table, part: Part) -> Iterator[ColumnElement[bool]]:
    yield table.c.route == part.route
    yield table.c.rollout == part.rollout
    for name, values in (("stage", part.stages), ("arm", part.arms), ("metric", part.metrics)):
        yield table.c[name].in_(values)
