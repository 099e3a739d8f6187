"""The days that PostgreSQL has: found in its catalog, made before they are needed, taken away when nothing in them has to stay.

Nobody waits for it. A lock that is not had within a third of a second is tried for again later; until there is a partition, rows
stand in `rest`.
"""

# ruff: noqa: S608  (tables are named by this program)

from collections.abc import Callable, Iterable

from sqlalchemy import Connection, Engine, text

from modelctl.errors import Busy, StoreError
from modelctl.store.days import KEYS, Days, days_named, uncovered, wanted
from modelctl.store.engine import briefly, lock, reading

LOCK = "partitions"
LOOK_AGAIN = 600_000_000
"""Microseconds after which the catalog is read again: pruning takes days away."""
TRY_AGAIN = 30_000_000
MOST_MOVED = 10_000
"""Rows that a new day takes over from `rest`. Where more stand, they stay: moving them would keep others waiting."""

_PARTITIONED = text("SELECT count(*) FROM pg_class WHERE oid = to_regclass(:name) AND relkind = 'p'")
_ATTACHED = text(
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent IN (to_regclass('prediction'), to_regclass('pair'))"
)
_DETACHED = text(
    "SELECT relname FROM pg_class WHERE relkind = 'r' AND NOT relispartition AND pg_table_is_visible(oid) "
    "AND relname LIKE '%\\_detached'"
)


def is_partitioned(connection: Connection, table: str) -> bool:
    """Whether the table has days: false in SQLite, and in a PostgreSQL database whose upgrade was not finished."""
    return connection.dialect.name == "postgresql" and bool(connection.execute(_PARTITIONED, {"name": table}).scalar_one())


def attached_days(connection: Connection) -> list[Days]:
    """The days of both tables, the oldest first; none in SQLite."""
    if connection.dialect.name != "postgresql":
        return []
    return days_named(connection.execute(_ATTACHED).scalars())


def detached_days(connection: Connection) -> list[Days]:
    """Days that were taken out and are still on the disk."""
    if connection.dialect.name != "postgresql":
        return []
    return [one for one in days_named(connection.execute(_DETACHED).scalars()) if one.detached]


def rest_of(table: str) -> str:
    """The partition for what falls on no day."""
    return f"{table}_rest"


def make(connection: Connection, day: Days) -> None:
    """The partition, with what `rest` holds of it. In a `briefly` transaction: the rest is locked until it ends."""
    lock(connection, LOCK)
    if day.name in {one.name for one in attached_days(connection)}:
        return
    key, rest = KEYS[day.table], rest_of(day.table)
    within = f"{key} >= '{day.low}' AND {key} < '{day.high}'"
    run = connection.exec_driver_sql
    run(f"CREATE TABLE {day.name} (LIKE {day.table} INCLUDING DEFAULTS INCLUDING STORAGE)")
    standing = run(f"SELECT count(*) FROM (SELECT 1 FROM {rest} WHERE {within} LIMIT {MOST_MOVED + 1}) AS standing").scalar_one()
    if standing > MOST_MOVED:
        raise Busy(f"{rest} holds more than {MOST_MOVED:,} rows of the day: they stay there")
    if standing:
        run(f"WITH moved AS (DELETE FROM {rest} WHERE {within} RETURNING *) INSERT INTO {day.name} SELECT * FROM moved")
    run(f"ALTER TABLE {day.table} ATTACH PARTITION {day.name} FOR VALUES FROM ('{day.low}') TO ('{day.high}')")


class DayMaker:
    """Makes days for one writer. Forgets what it knows now and then, and never keeps evidence from being written."""

    def __init__(self, engine: Engine, *, log: Callable[..., None]) -> None:
        """`log(event, **facts)` hears why a day cannot be made, unless somebody else's lock is all."""
        self._engine = engine
        self._log = log
        self._known: set[int] = set()
        self._forget_at = 0
        self._try_at = 0

    def prepare(self, ids: Iterable[bytes], *, at: int) -> None:
        """Partitions for rows with these ids, and for the days ahead of Unix microsecond `at`, as far as they can be made now."""
        if self._engine.dialect.name != "postgresql":
            return
        if at >= self._forget_at:
            self._known.clear()
            self._forget_at = at + LOOK_AGAIN
        missing = wanted(ids, at=at) - self._known
        if missing and at >= self._try_at:
            try:
                self._make(missing)
            except StoreError as error:
                self._try_at = at + TRY_AGAIN
                if not isinstance(error, Busy):
                    self._log("no-partition", reason=str(error))
            else:
                self._known |= missing

    def _make(self, days: set[int]) -> None:
        with reading(self._engine) as connection:
            there = attached_days(connection)
            tables = [table for table in KEYS if is_partitioned(connection, table)]
        for table in tables:
            for day in uncovered(days, there, table=table):
                with briefly(self._engine) as connection:
                    make(connection, day)
