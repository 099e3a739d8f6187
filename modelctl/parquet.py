"""`python -m modelctl.parquet predictions|pairs FILE`: exported lines on standard input become a Parquet file.

A process of its own, because only this needs pyarrow. A row group is written after ROWS lines or BYTES of them: memory is bounded.
"""

import sys
from base64 import b64decode
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from sqlalchemy import Double, LargeBinary, Table, Text

from modelctl.store.export import JSON_COLUMNS, TABLES

try:
    import pyarrow as pa
    from pyarrow import parquet as pq
except ImportError:
    sys.exit("error: Parquet needs a library that is not installed: pip install 'modelctl[parquet]'")

ROWS = 10_000
BYTES = 64 * 1024 * 1024

Row = dict[str, Any]
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def schema_of(table: Table) -> Any:  # noqa: ANN401 pyarrow has no types
    """A column for each of the table's: `at` is a time in UTC, a body is bytes, JSON is its text."""
    columns = [column for column in table.columns if not column.name.endswith("_stored")]
    return pa.schema([(JSON_COLUMNS.get(column.name, column.name), _type(column.name, column.type)) for column in columns])


def write(lines: Iterable[bytes], table: Table, *, file: str) -> None:
    """All lines, in row groups."""
    schema = schema_of(table)
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        rows: list[Row] = []
        size = 0
        for line in lines:
            rows.append(row_of(line, schema.names))
            size += len(line)
            if len(rows) >= ROWS or size >= BYTES:
                writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))
                rows, size = [], 0
        if rows:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema=schema))


def row_of(line: bytes, names: Sequence[str]) -> Row:
    """The values of one line by column."""
    found = _decode(line)
    return {name: _value(found, name) for name in names}


def _value(found: Row, name: str) -> object:
    if name.endswith("_body"):
        encoded = found.get(f"{name}_base64")
        return b64decode(encoded) if encoded is not None else str(found[name]).encode()
    value = found.get(name)
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else value


def _type(name: str, kind: object) -> Any:  # noqa: ANN401 pyarrow has no types
    if name == "at":
        return pa.timestamp("us", tz="UTC")
    if isinstance(kind, Text):
        return pa.string()
    if isinstance(kind, LargeBinary):
        return pa.binary()
    return pa.float64() if isinstance(kind, Double) else pa.int64()


def main(arguments: Sequence[str]) -> int:
    """0, or 1 with a sentence on stderr."""
    what, file = arguments
    try:
        write(sys.stdin.buffer, TABLES[what], file=file)
    except OSError as error:
        sys.stderr.write(f"error: cannot write {file}: {error.strerror or error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
