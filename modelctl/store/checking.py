"""`python -m modelctl.store.checking --database URL`: the program behind `modelctl db check`. Looks, and changes nothing.

What must hold, whatever happened: the schema is this program's, the file is whole, rows refer to rows, each spool's counts add up,
and the sums over all minutes are the sums of the minutes.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Subquery, and_, exists, func, inspect, or_, select, text

from modelctl.errors import ModelctlError
from modelctl.store import schema
from modelctl.store.columns import metadata
from modelctl.store.days import KEYS
from modelctl.store.engine import connect, reading
from modelctl.store.partitions import is_partitioned
from modelctl.store.tables import rollup, rollup_total, spool

KEY = ("route", "rollout", "stage", "arm", "metric", "key")
COUNTS = ("n", "k")
MOST_SHOWN = 10
DOUBLES = ("s1", "s2", "sp")
CLOSE = 1e-6
"""The relative error that sums of doubles may have: they were added in another order."""


class Finding(NamedTuple):
    """One law that was looked at; `broken` says where it does not hold, and is empty when it does."""

    what: str
    broken: tuple[str, ...] = ()


def check(connection: Connection) -> list[Finding]:
    """Every law, in one state of the database."""
    laws: list[tuple[str, Callable[[Connection], Sequence[str]]]] = [
        ("integrity", _integrity),
        ("tables", _tables),
        ("references", _references),
        ("spools", _spools),
        ("sums", _sums),
    ]
    return [Finding(what, tuple(law(connection))) for what, law in laws]


def _integrity(connection: Connection) -> Sequence[str]:
    """Of a PostgreSQL server's files its own tools know: an index that was not built to its end is all that is seen from here."""
    if connection.dialect.name == "postgresql":
        invalid = text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
        return [f"index {name} is not valid: REINDEX INDEX CONCURRENTLY {name}" for name in connection.execute(invalid).scalars()]
    said = connection.exec_driver_sql("PRAGMA quick_check").scalars().all()
    return [] if list(said) == ["ok"] else [str(line) for line in said]


def _tables(connection: Connection) -> Sequence[str]:
    found = inspect(connection)
    there = {name: {column["name"] for column in found.get_columns(name)} for name in found.get_table_names()}
    return [
        f"{table.name} lacks {column.name}"
        for table in metadata.sorted_tables
        for column in table.columns
        if column.name not in there.get(table.name, set())
    ] + _whole(connection)


def _whole(connection: Connection) -> list[str]:
    if connection.dialect.name != "postgresql":
        return []
    whole = [name for name in KEYS if not is_partitioned(connection, name)]
    return [f"{name} is not partitioned by day yet: run modelctl db upgrade" for name in whole]


def _references(connection: Connection) -> Sequence[str]:
    """Rows that name a row which is not there."""
    broken = []
    for table in metadata.sorted_tables:
        for key in sorted(table.foreign_keys, key=lambda one: one.parent.name):
            other = key.column.table.alias("other")
            there = exists().where(other.c[key.column.name] == key.parent)
            count = connection.execute(select(func.count()).select_from(table).where(key.parent.is_not(None), ~there)).scalar_one()
            if count:
                broken.append(f"{count} rows of {table.name} name a {key.column.table.name} that is not there")
    return broken


def _spools(connection: Connection) -> Sequence[str]:
    """Records are accepted or dropped; what was read of the accepted ones is committed, quarantined or a duplicate."""
    broken = []
    for row in connection.execute(select(spool)):
        dropped = sum(msgspec.json.decode(row.dropped, type=dict[str, int]).values())
        read = row.committed + row.quarantined + row.duplicate
        if row.offered != row.accepted + dropped:
            broken.append(f"{row.name}: offered {row.offered} is not accepted {row.accepted} + dropped {dropped}")
        if row.accepted != read and not row.corrupt_bytes:
            broken.append(f"{row.name}: accepted {row.accepted} is not committed + quarantined + duplicate = {read}")
    return broken


def _sums(connection: Connection) -> Sequence[str]:
    """Sums over all minutes against the minutes, both ways."""
    keys = [rollup.c[name] for name in KEY]
    added = (
        select(
            *keys,
            *[func.sum(rollup.c[name]).label(name) for name in (*COUNTS, *DOUBLES)],
            *[func.sum(func.abs(rollup.c[name])).label(f"{name}_size") for name in DOUBLES],
        )
        .group_by(*keys)
        .subquery("added")
    )
    same = and_(*[added.c[name] == rollup_total.c[name] for name in KEY])
    total = rollup_total.outerjoin(added, same)
    wrong = select(*[rollup_total.c[name] for name in KEY]).select_from(total).where(or_(*_differ(added))).limit(MOST_SHOWN)
    lost = select(*[added.c[name] for name in KEY]).where(~exists().where(same)).limit(MOST_SHOWN)
    return [f"{_named(row)}: the total is not the sum of its minutes" for row in connection.execute(wrong)] + [
        f"{_named(row)}: the minutes have no total" for row in connection.execute(lost)
    ]


def _differ(added: Subquery) -> list[ColumnElement[bool]]:
    def of(name: str) -> ColumnElement[Any]:
        return func.coalesce(added.c[name], 0)

    counts = [of(name) != rollup_total.c[name] for name in COUNTS]
    return counts + [func.abs(of(name) - rollup_total.c[name]) > CLOSE * (1 + of(f"{name}_size")) for name in DOUBLES]


def _named(row: Row[Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in zip(KEY, row, strict=True) if value != "")


def main(arguments: Sequence[str]) -> int:
    """Prints a line for each law; 1 when one is broken, or the database does not answer."""
    parser = argparse.ArgumentParser(prog="python -m modelctl.store.checking", description="Checks modelctl's database.")
    parser.add_argument("--database", required=True, metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    url = parser.parse_args(arguments).database
    try:
        schema.check(url)
        engine = connect(url)
        with reading(engine) as connection:
            findings = check(connection)
        engine.dispose()
    except ModelctlError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"schema: ok ({schema.head()})\n")
    for finding in findings:
        sys.stdout.write(f"{finding.what}: {'; '.join(finding.broken) or 'ok'}\n")
    return int(any(finding.broken for finding in findings))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
