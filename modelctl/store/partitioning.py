"""PostgreSQL tables that hold rows already become partitioned by day while they are read and written.

1. A fence: rows of the day after tomorrow and later go into `rest` from now on, and a constraint says so. Milliseconds.
2. The constraint is checked against the rows that are there. Nobody waits for it, however long it takes.
3. The table becomes the first partition of a new one, which needs no look at its rows any more. Milliseconds.

Each step is a transaction. What broke off goes on where it was.
"""

# ruff: noqa: S608  (tables are named by this program)

import time
from collections.abc import Callable

from sqlalchemy import Connection, Engine, text

from modelctl.errors import Busy, StoreError
from modelctl.store.days import AHEAD, KEYS, Days, day_of, days_named
from modelctl.store.dependents import dependents_of
from modelctl.store.engine import briefly, reading, writing
from modelctl.store.partitions import is_partitioned, rest_of

PATIENCE = 120.0
"""Seconds that a step tries for its locks, a third of a second at a time with as long for others in between."""

_FENCES = text("SELECT conname FROM pg_constraint WHERE conrelid = to_regclass(:table) AND contype = 'c'")
_INDEXES = text(
    "SELECT indexrelid::regclass::text AS name, indisunique AS is_unique, pg_get_indexdef(indexrelid) AS made "
    "FROM pg_index WHERE indrelid = to_regclass(:table) ORDER BY name"
)
_KEY = text(
    "SELECT conname AS name, pg_get_constraintdef(oid) AS made FROM pg_constraint "
    "WHERE conrelid = to_regclass(:table) AND contype = 'p'"
)


def partition_tables(engine: Engine, *, at: int) -> None:
    """Partitions what is not partitioned, at Unix microsecond `at`. Raises StoreError."""
    for table in KEYS:
        with reading(engine) as connection:
            if is_partitioned(connection, table):
                continue
        _partition(engine, table, at=at)


def insist(step: Callable[[], None], *, patience: float = PATIENCE) -> None:
    """Does what needs locks that others hold, again and again for `patience` seconds. Raises Busy then."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return step()
        except Busy as error:
            if time.monotonic() > deadline:
                raise Busy(
                    f"{error}; end what runs for long (SELECT pid, xact_start, query FROM pg_stat_activity ORDER BY xact_start), "
                    "and run this again: it goes on where it was"
                ) from error
        time.sleep(0.3)


def _partition(engine: Engine, table: str, *, at: int) -> None:
    with reading(engine) as connection:
        empty = connection.exec_driver_sql(f"SELECT NOT EXISTS (SELECT 1 FROM {table})").scalar_one()
    if not empty:
        insist(lambda: _fence(engine, Days(table, day_of(at) + AHEAD, before=True)))
        _validate(engine, table)
    insist(lambda: _replace(engine, table))


def _fence(engine: Engine, before: Days) -> None:
    """Rows behind the fence go into `rest`, those that are there as well as those that come."""
    table, key, rest = before.table, KEYS[before.table], rest_of(before.table)
    with briefly(engine) as connection:
        if _fenced(connection, table) is not None:
            return
        run = connection.exec_driver_sql
        run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        run(f"CREATE TABLE {rest} (LIKE {table} INCLUDING DEFAULTS INCLUDING STORAGE INCLUDING INDEXES)")
        run(
            f"CREATE FUNCTION {rest}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN INSERT INTO {rest} VALUES (NEW.*); RETURN NULL; END $$"
        )
        run(
            f"CREATE TRIGGER {rest} BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.{key} >= '{before.high}') "
            f"EXECUTE FUNCTION {rest}()"
        )
        run(
            f"WITH moved AS (DELETE FROM {table} WHERE {key} >= '{before.high}' RETURNING *) INSERT INTO {rest} SELECT * FROM moved"
        )
        run(f"ALTER TABLE {table} ADD CONSTRAINT {before.name} CHECK ({key} < '{before.high}') NOT VALID")


def _validate(engine: Engine, table: str) -> None:
    with writing(engine) as connection:
        before = _fenced(connection, table)
        if before is not None:
            connection.exec_driver_sql(f"ALTER TABLE {table} VALIDATE CONSTRAINT {before.name}")


def _fenced(connection: Connection, table: str) -> Days | None:
    return next((one for one in days_named(connection.execute(_FENCES, {"table": table}).scalars()) if one.before), None)


def _replace(engine: Engine, table: str) -> None:
    """The table takes its place as a partition, or goes when it is empty."""
    with briefly(engine) as connection:
        run = connection.exec_driver_sql
        run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        before, rest = _fenced(connection, table), rest_of(table)
        if before is None and run(f"SELECT EXISTS (SELECT 1 FROM {table})").scalar_one():
            raise StoreError(f"{table} got its first rows in this moment: run the upgrade again")
        dependents = dependents_of(connection, table)
        dependents.drop(connection)
        old = before.name if before else f"{table}_empty"
        _rename(connection, table, old=old)
        if before is None:
            run(f"DROP TABLE {old}")
            run(f"CREATE TABLE {rest} PARTITION OF {table} DEFAULT")
        else:
            run(f"DROP TRIGGER {rest} ON {old}")
            run(f"DROP FUNCTION {rest}()")
            run(f"ALTER TABLE {table} ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ('{before.high}')")
            run(f"ALTER TABLE {old} DROP CONSTRAINT {old}")
            run(f"ALTER TABLE {table} ATTACH PARTITION {rest} DEFAULT")
        dependents.restore(connection)


def _rename(connection: Connection, table: str, *, old: str) -> None:
    """The table is called `old` from now on, and an empty partitioned one has its name, its key and its indexes."""
    run = connection.exec_driver_sql
    key = connection.execute(_KEY, {"table": table}).one()
    indexes = connection.execute(_INDEXES, {"table": table}).all()
    run(f"ALTER TABLE {table} RENAME TO {old}")
    for index in indexes:
        run(f"ALTER INDEX {index.name} RENAME TO {index.name}_{old}")
    run(f"CREATE TABLE {table} (LIKE {old} INCLUDING DEFAULTS INCLUDING STORAGE) PARTITION BY RANGE ({KEYS[table]})")
    run(f"ALTER TABLE {table} ADD CONSTRAINT {key.name} {key.made}")
    for index in indexes:
        if not index.is_unique:
            run(index.made)
