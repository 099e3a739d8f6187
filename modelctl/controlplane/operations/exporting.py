"""One page of an export, in one transaction."""

from typing import NamedTuple

from sqlalchemy import Engine, Table

from modelctl.store import export
from modelctl.store.engine import reading
from modelctl.store.export import Span


class Lines(NamedTuple):
    """Lines of NDJSON, and the cursor of the last of them; nothing at the end."""

    lines: bytes
    last: str


def export_lines(engine: Engine, table: Table, *, span: Span) -> Lines:
    """The next page of a span. Raises InvalidInput for a cursor that is none, StoreError."""
    with reading(engine) as connection:
        found = export.rows(connection, table, span=span)
    lines = b"".join([export.line_of(table, row) for row in found])
    return Lines(lines, export.cursor_of(table, found[-1]) if found else "")
