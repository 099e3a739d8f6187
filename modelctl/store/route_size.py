"""What the rows of one route take, from the size of its newest thousand, and how many of the oldest are too many.

The size is that of the values, with what a row and its entries in indexes take beside them. It is an estimate of the same kind in
both databases: a limit holds within a tenth or so where bodies have sizes that vary.
"""

from typing import Any

import msgspec
from sqlalchemy import Connection, Float, LargeBinary, Table, Text, cast, func, literal, select

from modelctl.store.tables import pair, prediction, route
from modelctl.traffic import Capture

BESIDE = 300
"""Bytes of a row beside its values: head, indexes, the room that pages leave free."""
_NUMBER = 4
_NEWEST = 1000


def limits(connection: Connection) -> dict[str, int]:
    """How many bytes each route's rows may take, of those that have a limit."""
    rows = connection.execute(select(route.c.name, route.c.capture))
    found = {row.name: msgspec.json.decode(row.capture, type=Capture).keep_bytes for row in rows}
    return {name: most for name, most in found.items() if most}


def used(connection: Connection, name: str) -> tuple[int, float]:
    """How many predictions the route has, and what each takes on average, its pairs included."""
    count = connection.execute(select(func.count()).select_from(prediction).where(prediction.c.route == name)).scalar_one()
    newest = select(prediction.c.id).where(prediction.c.route == name).order_by(prediction.c.at.desc()).limit(_NEWEST)
    ids = newest.subquery("newest")
    mine = connection.execute(_total(prediction).where(prediction.c.id.in_(select(ids.c.id)))).one()
    theirs = connection.execute(_total(pair).where(pair.c.prediction_id.in_(select(ids.c.id)))).one()
    return int(count), (float(mine.size or 0) + float(theirs.size or 0)) / max(1, int(mine.rows))


def surplus_of(connection: Connection, name: str, *, most: int) -> int:
    """How many of the route's oldest predictions have to go for its rows to take at most so many bytes."""
    count, each = used(connection, name)
    return max(0, min(count, count - int(most / each))) if each else 0


def _total(table: Table) -> Any:  # noqa: ANN401 a select
    measured = [column for column in table.columns if isinstance(column.type, Text | LargeBinary)]
    beside = literal(BESIDE + _NUMBER * (len(table.columns) - len(measured)))
    size = sum((func.coalesce(func.length(column), 0) for column in measured), beside)
    return select(func.count().label("rows"), cast(func.sum(size), Float).label("size"))
