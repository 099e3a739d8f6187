"""Questions about many values at once: one parameter, however many there are, so the statement is prepared once."""

from collections.abc import Collection

import msgspec
from sqlalchemy import ColumnElement, Connection, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY


def among(connection: Connection, column: ColumnElement[str], *, values: Collection[str]) -> ColumnElement[bool]:
    """Whether a text column holds one of `values`."""
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, list(values), type_=ARRAY(Text)))
    document = msgspec.json.encode(list(values)).decode()
    return column.in_(select(func.json_each(document).table_valued("value").c.value))
