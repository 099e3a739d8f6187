"""Recorded rows in the order of time, a page at a time, and the form in which they leave the store.

A page is read in a transaction of its own, from an index and behind a key: however many rows there are, memory and locks are those
of one page. Rows that come while an export runs belong to it only where they lie behind the page that was read last.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Table, select, tuple_

from modelctl.errors import InvalidInput
from modelctl.store.bodies import body_of
from modelctl.store.tables import pair, prediction

PAGE = 200
JSON_COLUMNS = {"headers": "headers", "values_json": "values"}
JSON_COLUMNS |= {f"{side}_values_json": f"{side}_values" for side in ("baseline", "candidate")}

Line = dict[str, Any]
_encode = msgspec.json.Encoder().encode

# What the rows of a table are read in the order of: the first has an index on the route and the time, the second is a key.
ORDER: Mapping[str, tuple[str, str]] = {"prediction": ("at", "id"), "pair": ("prediction_id", "candidate")}


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a route from Unix microsecond `since` on and before `until`, behind `after`: the cursor of the last one that is
    known. `rollout` None: whatever rollout they fell under."""

    route: str
    since: int
    until: int
    after: str = ""
    rollout: int | None = None


def rows(connection: Connection, table: Table, *, span: Span, limit: int = PAGE) -> Sequence[Row[Any]]:
    """The next rows, at most `limit`; none at the end. Raises InvalidInput for a cursor that is none."""
    order = [table.c[name] for name in ORDER[table.name]]
    query = select(table).where(table.c.route == span.route, table.c.at >= span.since, table.c.at < span.until)
    if span.rollout is not None:
        query = query.where(table.c.rollout == span.rollout)
    if span.after:
        first, second = read_cursor(table, span.after)
        # The first condition alone is what an index is entered with.
        query = query.where(order[0] >= first, tuple_(*order) > tuple_(first, second))
    return connection.execute(query.order_by(*order).limit(limit)).all()


def cursor_of(table: Table, row: Row[Any]) -> str:
    """What `Span.after` is to read what lies behind `row`."""
    first, second = (row._mapping[name] for name in ORDER[table.name])
    return f"{first}:{second}"


def read_cursor(table: Table, cursor: str) -> tuple[int | str, str]:
    """The key that a cursor stands for. Raises InvalidInput."""
    first, colon, second = cursor.partition(":")
    timed = table is prediction
    if not colon or not second or (timed and not (first.isdecimal() and len(first) < 19)):
        raise InvalidInput(f"{cursor!r} is no place in an export: take the one that the broken export named")
    return (int(first) if timed else first), second


def line_of(table: Table, row: Row[Any]) -> bytes:
    """One row as a line of NDJSON: its columns by name, and `cursor`.

    A body that is no UTF-8 stands as base64 in `NAME_base64`. `values` and `headers` are JSON and not its text.
    """
    line: Line = {"cursor": cursor_of(table, row)}
    for name, value in row._mapping.items():
        if name.endswith("_body"):
            line |= body_field(name, body_of(row, name.removesuffix("_body")))
        elif name.endswith("_stored"):
            continue  # bodies leave as they were on the wire
        elif name in JSON_COLUMNS:
            line[JSON_COLUMNS[name]] = None if value is None else msgspec.Raw(value.encode())
        else:
            line[name] = value
    return _encode(line) + b"\n"


def body_field(name: str, body: bytes) -> dict[str, str]:
    """The field that holds a body: its text, or its bytes in base64."""
    try:
        return {name: body.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": b64encode(body).decode()}


TABLES: Mapping[str, Table] = {"predictions": prediction, "pairs": pair}
