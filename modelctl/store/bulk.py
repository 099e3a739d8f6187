"""Many new rows of one table at once, as tuples: preparing each as a mapping costs more than the database does."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, exc

Values = tuple[object, ...]

# A group of so many rows is worth a statement of its own.
_LARGE = 24


class Columns(NamedTuple):
    """Those that are the same for all rows of a group, and each row's own."""

    steady: tuple[str, ...]
    own: tuple[str, ...]


class Group(NamedTuple):
    """Rows whose values in the steady columns are the same."""

    steady: Values
    rows: Sequence[Values]


def insert_rows(connection: Connection, table: Table, *, columns: tuple[str, ...], rows: Sequence[Values]) -> None:
    """Adds `rows`, whose values are in the order of `columns`. A key that is taken refuses all of them."""
    insert_groups(connection, table, columns=Columns((), columns), groups=[Group((), rows)])


def insert_groups(connection: Connection, table: Table, *, columns: Columns, groups: Sequence[Group]) -> None:
    """Adds the rows of all groups; likewise. PostgreSQL takes them by COPY, SQLite by prepared statements.

    Half of SQLite's time goes into binding values, so what the rows of a large group have in common stands in their statement.
    """
    if connection.dialect.name == "postgresql":
        _copy(connection, table, columns=(*columns.steady, *columns.own), rows=_whole(groups))
        return
    others = _whole(group for group in groups if not _is_large(group))
    if others:
        connection.exec_driver_sql(_inserting(table.name, Columns((), (*columns.steady, *columns.own))), others)
    for steady, rows in filter(_is_large, groups):
        connection.exec_driver_sql(_inserting(table.name, columns, literals=tuple(map(literal, steady))), list(rows))


def literal(value: object) -> str:
    """None, a whole number of 64 bits or a text without NUL, as it stands in SQLite's SQL."""
    if isinstance(value, str):
        return f"""'{value.replace("'", "''")}'"""
    return "NULL" if value is None else repr(value)


def _is_large(group: Group) -> bool:
    return bool(group.steady) and len(group.rows) >= _LARGE and all(map(_is_literal, group.steady))


def _is_literal(value: object) -> bool:
    if type(value) is str:
        return "\0" not in value
    return value is None or (type(value) is int and -(1 << 63) < value < 1 << 63)


def _whole(groups: Iterable[Group]) -> list[Values]:
    return [steady + row for steady, rows in groups for row in rows]


def _copy(connection: Connection, table: Table, *, columns: tuple[str, ...], rows: Sequence[Values]) -> None:
    if not rows:
        return
    statement, types = _copying(table, columns)
    dialect = connection.dialect
    driver: Any = dialect.loaded_dbapi
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except driver.Error as error:
        # SQLAlchemy does not see the driver's COPY, so its errors are put into SQLAlchemy's here.
        raise exc.DBAPIError.instance(statement, None, error, driver.Error, dialect=dialect) from error


@lru_cache
def _copying(table: Table, columns: tuple[str, ...]) -> tuple[str, list[str]]:
    """Binary: as text the driver would write each body in hex, and look at each character."""
    types = [_BINARY[table.c[name].type.__visit_name__] for name in columns]
    return f"COPY {table.name} ({_listed(columns)}) FROM STDIN (FORMAT BINARY)", types


_BINARY = {"text": "text", "big_integer": "int8", "small_integer": "int2", "double": "float8", "large_binary": "bytea"}


@lru_cache(maxsize=256)
def _inserting(table: str, columns: Columns, *, literals: tuple[str, ...] = ()) -> str:
    names = (*columns.steady, *columns.own)
    values = ", ".join([*literals, *"?" * len(columns.own)])
    return f"INSERT INTO {table} ({_listed(names)}) VALUES ({values})"  # noqa: S608  (our own names, and `literal`)


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
