"""Many new rows of one table at once, as tuples: preparing each as a mapping costs more than the database does."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table, exc

Values = tuple[object, ...]


def insert_rows(connection: Connection, table: Table, *, columns: tuple[str, ...], rows: Sequence[Values]) -> None:
    """Adds `rows`, whose values are in the order of `columns`. A key that is taken refuses all of them.

    PostgreSQL takes them by COPY, SQLite by one prepared statement.
    """
    if not rows:
        return
    if connection.dialect.name == "postgresql":
        _copy(connection, _copying(table.name, columns), rows=rows)
    else:
        connection.exec_driver_sql(_inserting(table.name, columns), list(rows))


def _copy(connection: Connection, statement: str, *, rows: Iterable[Values]) -> None:
    dialect = connection.dialect
    driver: Any = dialect.loaded_dbapi
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except driver.Error as error:
        # SQLAlchemy does not see the driver's COPY, so its errors are put into SQLAlchemy's here.
        raise exc.DBAPIError.instance(statement, None, error, driver.Error, dialect=dialect) from error


@lru_cache
def _copying(table: str, columns: tuple[str, ...]) -> str:
    return f"COPY {table} ({_listed(columns)}) FROM STDIN"


@lru_cache
def _inserting(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({_listed(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  (our own names)


def _listed(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in columns)
