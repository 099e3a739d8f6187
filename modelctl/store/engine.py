"""Connections to the database, and the few statements whose wording differs between SQLite and PostgreSQL.

Reading and writing each happen in one transaction: `reading` sees one state of the database, `writing` changes it whole or not at
all. In SQLite a writer takes its lock at the start, so it never fails half-way because somebody else wrote first.
"""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from operator import itemgetter
from typing import Any
from zlib import crc32

from sqlalchemy import URL, Column, Connection, Engine, Table, create_engine, event, exc, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from modelctl.errors import Busy, Conflict, InvalidInput, SchemaOutdated, StoreError

BUSY_TIMEOUT = 5.0  # seconds a SQLite statement waits for another process's lock

_POSTGRESQL = {
    "connect_timeout": 5,
    "application_name": "modelctl",
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}

# SQLSTATE classes: data exception and program limit (a value does not fit), integrity constraint violation.
_REFUSED_VALUE = ("22", "54")
_REFUSED_ROW = ("23",)
# A lock that was not had in time, two that waited for each other, a statement that was ended for taking too long.
_HELD = ("55P03", "40P01", "57014")

# Rows of one statement: twelve columns of each stay below the 32,766 parameters that SQLite takes.
_ROWS = 500

Row = Mapping[str, object]


def connect(url: str) -> Engine:
    """The engine for `sqlite:///FILE` or `postgresql://...`; connects when it is first used. Raises StoreError."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        if parsed.get_backend_name() == "postgresql":
            return _postgresql(parsed)
    except exc.SQLAlchemyError as error:
        raise StoreError(f"the database URL is not valid: {error}") from error
    raise StoreError(
        f"modelctl keeps its data in SQLite (sqlite:///FILE) or PostgreSQL (postgresql://...), not in {parsed.drivername}"
    )


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that changes the database: committed at the end, taken back if the block raises.

    Raises StoreError when the database does not answer, Conflict when a key is taken or a referenced row is missing, InvalidInput
    when a value does not fit its column. Nothing was changed then.
    """
    with _errors(engine), engine.connect() as connection:
        connection.execution_options(modelctl_begin="BEGIN IMMEDIATE")
        with connection.begin():
            yield connection


@contextmanager
def briefly(engine: Engine, *, wait_ms: int = 300, longest_ms: int = 2_000) -> Iterator[Connection]:
    """`writing`, which in PostgreSQL waits for no lock longer than `wait_ms`, and for no statement longer than `longest_ms`: what
    it locks, others are kept from no longer than that. Raises Busy too, when that was not enough."""
    with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {wait_ms}; SET LOCAL statement_timeout = {longest_ms}")
        yield connection


@contextmanager
def waiting(engine: Engine) -> Iterator[Connection]:
    """A connection without a transaction, for locks that are held across several. Raises StoreError."""
    with _errors(engine), engine.connect() as connection:
        yield connection.execution_options(isolation_level="AUTOCOMMIT")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One transaction that sees one state of the database throughout. Raises StoreError when the database does not answer."""
    with _errors(engine), engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        with connection.begin():
            yield connection


def insert_or_ignore(connection: Connection, table: Table, *, rows: Sequence[Row]) -> None:
    """Adds the rows whose keys are not taken yet and leaves the others as they are."""
    if rows:
        connection.execute(_insert(connection, table).on_conflict_do_nothing(), rows)


def upsert_adding(connection: Connection, table: Table, *, rows: Sequence[Row]) -> None:
    """Adds the rows; where a key is taken, adds every number of the new row that is no part of the key to the old one.

    Rows are written in the order of their keys, so that two writers cannot wait for each other.
    """
    _bulk(connection, table, rows=_in_order(table, rows), ending=_adding(table))


def insert_new(connection: Connection, table: Table, *, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Adds the rows whose keys are not taken yet; returns the keys of those it added.

    A row that another transaction is adding at this moment is waited for. Rows go in the given order: let it be that of the keys.
    """
    return _bulk(connection, table, rows=rows, ending=f"ON CONFLICT DO NOTHING RETURNING {_listed(table.primary_key)}")


def upsert_totals(connection: Connection, table: Table, *, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Like `upsert_adding`; returns the rows as they are now, in the order of the table's columns."""
    ending = f"{_adding(table)} RETURNING {_listed(table.columns)}"
    return _bulk(connection, table, rows=_in_order(table, rows), ending=ending)


def lock(connection: Connection, name: str, *, shared: bool = False) -> None:
    """Waits until no other transaction holds the lock `name` (a `shared` one only for one that does not share it), then holds it to
    the end of this one. In SQLite, where writers are alone anyway, there is nothing to do."""
    if connection.dialect.name == "postgresql":
        function = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        connection.execute(select(function(crc32(name.encode()))))


def _bulk(connection: Connection, table: Table, *, rows: Sequence[Row], ending: str) -> list[tuple[Any, ...]]:
    """One statement for many rows; what it returns. Built by hand, because preparing each row costs more than writing it."""
    columns = [column.name for column in table.columns]
    in_columns = itemgetter(*columns)
    mark = "%s" if connection.dialect.name == "postgresql" else "?"
    found: list[tuple[Any, ...]] = []
    for start in range(0, len(rows), _ROWS):
        part = rows[start : start + _ROWS]
        groups = ", ".join([f"({', '.join([mark] * len(columns))})"] * len(part))
        statement = f"INSERT INTO {table.name} ({_listed(table.columns)}) VALUES {groups} {ending}"  # noqa: S608  (our own names)
        result = connection.exec_driver_sql(statement, tuple(chain.from_iterable(map(in_columns, part))))
        found += [tuple(row) for row in result] if result.returns_rows else []
    return found


def _adding(table: Table) -> str:
    keys = table.primary_key.columns.keys()
    sums = ", ".join(f"{name} = {table.name}.{name} + excluded.{name}" for name in table.columns.keys() if name not in keys)  # noqa: SIM118
    return f"ON CONFLICT ({_listed(table.primary_key)}) DO UPDATE SET {sums}"


def _listed(columns: Iterable[Column[Any]]) -> str:
    return ", ".join(f'"{column.name}"' for column in columns)


def _in_order(table: Table, rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=itemgetter(*[column.name for column in table.primary_key]))


def _insert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _sqlite(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise StoreError("a SQLite database of modelctl is a file that several processes open: sqlite:///PATH/modelctl.db")
    engine = create_engine(url.set(drivername="sqlite"), connect_args={"timeout": BUSY_TIMEOUT})
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # The driver would open transactions by itself, and only before some statements; `_begin_sqlite` does it instead.
    connection.isolation_level = None
    _write_ahead(connection)
    for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
        connection.cursor().execute(f"PRAGMA {pragma}")


def _write_ahead(connection: DBAPIConnection) -> None:
    """Turns WAL on. SQLite does not wait for other processes here, so two that open a new file at once need this loop."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.cursor().execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("modelctl_begin", "BEGIN"))


def _postgresql(url: URL) -> Engine:
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise StoreError(f"modelctl talks to PostgreSQL with psycopg: write postgresql:// instead of {url.drivername}://")
    arguments = {name: value for name, value in _POSTGRESQL.items() if name not in url.query}
    try:
        return create_engine(url.set(drivername="postgresql+psycopg"), connect_args=arguments, pool_pre_ping=True)
    except ImportError as error:
        raise StoreError("the driver for PostgreSQL is not installed: pip install 'modelctl[postgres]'") from error


@contextmanager
def _errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except (OverflowError, UnicodeError) as error:
        raise InvalidInput(f"a value does not fit into the database: {error}") from error
    except exc.SQLAlchemyError as error:
        raise _translated(error, engine.url) from error


def _translated(error: exc.SQLAlchemyError, url: URL) -> StoreError | Conflict | InvalidInput:
    cause = getattr(error, "orig", None)
    state = getattr(cause, "sqlstate", None) or ""
    reason = str(cause or error).strip().splitlines()[0]
    if state in _HELD:
        return Busy(f"somebody else's transaction holds what is needed here: {reason}")
    if isinstance(error, exc.IntegrityError) or state.startswith(_REFUSED_ROW):
        return Conflict(f"the database refuses the change, because somebody else changed the same thing: {reason}")
    if isinstance(error, exc.DataError) or state.startswith(_REFUSED_VALUE):
        return InvalidInput(f"a value does not fit into the database: {reason}")
    where = url.render_as_string(hide_password=True)
    if state == "42P01" or "no such table" in reason:
        return SchemaOutdated(f"the database {where} lacks a table ({reason}): run `modelctl db upgrade --database {where}`")
    return StoreError(f"the database {where} does not answer as it should: {reason}")
