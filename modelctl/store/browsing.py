"""Predictions and pairs as somebody browses them: the newest first, and never more rows read than a page is worth.

A filter that fits few rows would read all of them to fill a page. So a page looks through WITHIN rows at most and says where to
go on. Every function takes the connection of the caller's transaction. Times are Unix microseconds.
"""

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select

from modelctl.errors import InvalidInput
from modelctl.store.reading import Pair, Prediction, read_pair
from modelctl.store.tables import pair, prediction

T = TypeVar("T")
WITHIN = 4_000
PAGE = 50


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; an empty value is none. `agree` of a pair is yes, no or unknown."""

    route: str = ""
    rollout: int = 0
    arm: str = ""
    outcome: str = ""
    request_id: str = ""
    agree: str = ""


class Browsed(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What was found. `next` goes on behind it, None at the end; `whole` is false where WITHIN rows held less than a page."""

    items: tuple[T, ...]
    next: str | None
    whole: bool = True


def predictions(connection: Connection, wanted: Wanted, *, cursor: str = "") -> Browsed[Prediction]:
    """A page of them. Raises InvalidInput for a cursor that is none."""
    table = prediction.c
    if wanted.request_id:
        rows = connection.execute(select(*_columns()).where(table.request_id == wanted.request_id).limit(PAGE))
        return Browsed(items=tuple(Prediction(**row._mapping) for row in rows), next=None)
    where = [table.route == wanted.route] if wanted.route else []
    where += [_behind(cursor, wanted)] if cursor else []
    query = select(*_columns()).where(*where).order_by(*_newest(wanted))
    finds = [table[name] == value for name in ("arm", "outcome") if (value := getattr(wanted, name))]
    if wanted.rollout:
        finds.append(table.rollout == wanted.rollout)
    return _sifted(connection, query, finds=finds, newest=_newest(wanted))


def _newest(wanted: Wanted) -> list[Any]:
    """The order that an index has: of a route its times, of all routes the ids, which grow with time."""
    return [prediction.c.at.desc(), prediction.c.id.desc()] if wanted.route else [prediction.c.id.desc()]


def _sifted(
    connection: Connection, query: Select[Any], *, finds: Sequence[ColumnElement[bool]], newest: Sequence[Any]
) -> Browsed[Prediction]:
    if not finds:
        rows = connection.execute(query.limit(PAGE + 1)).all()
        items = tuple(Prediction(**row._mapping) for row in rows[:PAGE])
        return Browsed(items=items, next=_cursor(rows[PAGE - 1]) if len(rows) > PAGE else None)
    names = [column.name for column in _columns()]
    among = query.limit(WITHIN).subquery("among")
    kept = select(*(among.c[name] for name in names)).where(*(_of(among, find) for find in finds))
    rows = connection.execute(kept.order_by(*(among.c[one.element.name].desc() for one in newest)).limit(PAGE + 1)).all()
    items = tuple(Prediction(**row._mapping) for row in rows[:PAGE])
    if len(rows) > PAGE:
        return Browsed(items=items, next=_cursor(rows[PAGE - 1]))
    last = connection.execute(query.with_only_columns(prediction.c.at, prediction.c.id).offset(WITHIN - 1).limit(1)).one_or_none()
    return Browsed(items=items, next=None if last is None else _cursor(last), whole=last is None)


def _of(among: Any, find: Any) -> ColumnElement[bool]:  # noqa: ANN401 a subquery and a comparison with a value
    found: ColumnElement[bool] = among.c[find.left.name] == find.right.value
    return found


def pairs_of(connection: Connection, predictions: Sequence[str]) -> dict[str, list[str]]:
    """The candidates that were compared on these predictions, by prediction."""
    found: dict[str, list[str]] = {}
    query = select(pair.c.prediction_id, pair.c.candidate).where(pair.c.prediction_id.in_(predictions))
    for row in connection.execute(query.order_by(pair.c.prediction_id, pair.c.candidate)):
        found.setdefault(row.prediction_id, []).append(row.candidate)
    return found


def find_pair(connection: Connection, prediction_id: str, *, candidate: str) -> Pair | None:
    """Both answers to one request; None when they were not compared."""
    where = (pair.c.prediction_id == prediction_id, pair.c.candidate == candidate)
    row = connection.execute(select(pair).where(*where)).one_or_none()
    return None if row is None else read_pair(row)


def _columns() -> list[Any]:
    return [prediction.c[name] for name in Prediction.__struct_fields__]


def _behind(cursor: str, wanted: Wanted) -> ColumnElement[bool]:
    moment, _, key = cursor.partition(":")
    if not moment.isdecimal() or len(moment) > 18 or len(key) > 64:
        raise InvalidInput(f"{cursor!r} is no cursor: use the link below the page before")
    table = prediction.c
    if not wanted.route:
        return table.id < key
    return or_(table.at < int(moment), and_(table.at == int(moment), table.id < key))


def _cursor(row: Any) -> str:  # noqa: ANN401 a row with `at` and `id`
    return f"{row.at}:{row.id}"
