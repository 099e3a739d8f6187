"""Recorded predictions that fit what somebody looks for: the newest first, and never more rows read than WITHIN.

A filter that fits few rows would read all of them to fill a page. So one search looks through WITHIN of a route's rows at most and
says where to go on. Every function takes the connection of the caller's transaction. Times are Unix microseconds.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, func, or_, select

from modelctl.errors import InvalidInput
from modelctl.store.bodies import body_of
from modelctl.store.reading import Prediction
from modelctl.store.tables import pair, prediction

WITHIN = 4_000
_ORDERED: Mapping[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
AGREE = "agree"


class Term(msgspec.Struct, frozen=True):
    """A column of `prediction` against a value; `agree` asks for a pair that agrees (1) or differs (0)."""

    column: str
    relation: str
    value: str | float


class Sought(NamedTuple):
    """Which rows: those of a route since `since` that fit every term, behind `cursor`."""

    route: str
    terms: Sequence[Term]
    since: int = 0
    cursor: str = ""


class Found(NamedTuple):
    """At most so many as were wanted. `next` goes on behind them, None when no row is left to look at."""

    items: tuple[Prediction, ...]
    next: str | None


class Recorded(NamedTuple):
    """What of a request tells its slices: fields, the body as it was on the wire, how that is compressed, its whole size."""

    headers: dict[str, str]
    encoding: str
    body: bytes
    size: int
    at: int


def search(connection: Connection, sought: Sought, *, limit: int) -> Found:
    """The newest `limit` of them. Raises InvalidInput for a cursor that is none."""
    table = prediction.c
    where = [table.route == sought.route, table.at >= sought.since]
    where += [_behind(sought.cursor)] if sought.cursor else []
    columns = [table[name] for name in Prediction.__struct_fields__]
    newest = select(*columns).where(*where).order_by(table.at.desc(), table.id.desc()).limit(WITHIN)
    among = newest.subquery("among")
    fits = select(*(among.c[name] for name in Prediction.__struct_fields__)).where(*(_fits(among, one) for one in sought.terms))
    rows = connection.execute(fits.order_by(among.c.at.desc(), among.c.id.desc()).limit(limit + 1)).all()
    items = tuple(Prediction(**row._mapping) for row in rows[:limit])
    if len(rows) > limit:
        return Found(items, cursor_of(items[-1]))
    last = connection.execute(newest.with_only_columns(table.at, table.id).limit(1).offset(WITHIN - 1)).one_or_none()
    return Found(items, None if last is None else f"{last.at}:{last.id}")


def requests_of(connection: Connection, ids: Sequence[str]) -> Mapping[str, Recorded]:
    """What was asked in these predictions."""
    names = ("id", "at", "headers", *(f"request_{part}" for part in ("encoding", "body", "stored", "size")))
    rows = connection.execute(select(*(prediction.c[name] for name in names)).where(prediction.c.id.in_(ids)))
    return {row.id: _recorded(row) for row in rows}


def cursor_of(found: Prediction) -> str:
    """What goes on behind it."""
    return f"{found.at}:{found.id}"


def _recorded(row: Row[Any]) -> Recorded:
    headers = msgspec.json.decode(row.headers, type=dict[str, str]) if row.headers else {}
    return Recorded(headers, row.request_encoding, body_of(row, "request"), row.request_size, row.at)


def _fits(among: Any, term: Term) -> ColumnElement[bool]:  # noqa: ANN401 a subquery
    if term.column == AGREE:
        found = select(pair.c.prediction_id).where(pair.c.prediction_id == among.c.id, pair.c.agree == term.value)
        return found.exists()
    column = among.c[term.column]
    # What is not there is not equal to anything.
    left = func.coalesce(column, "") if isinstance(term.value, str) else column
    return _ORDERED[term.relation](left, term.value)


def _behind(cursor: str) -> ColumnElement[bool]:
    at, _, key = cursor.partition(":")
    if not at.isdecimal() or len(at) > 18 or len(key) > 64:
        raise InvalidInput(f"{cursor!r} is no cursor: use the `next` of the page before")
    table = prediction.c
    return or_(table.at < int(at), and_(table.at == int(at), table.id < key))
