"""The version of the database's schema: which one a database has, which one this program needs, and the way there.

Only forwards: a schema is never taken back, because that would throw evidence away.
`python -m modelctl.store.schema upgrade|current --database URL` is the program behind `modelctl db`.
"""

import argparse
import io
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from modelctl.errors import ModelctlError, SchemaOutdated
from modelctl.store.engine import briefly, connect, reading, waiting
from modelctl.store.partitioning import insist, partition_tables

# Any number does, as long as everybody who upgrades a PostgreSQL database takes the same.
_UPGRADE_LOCK = 0x6D6F64656C


def head() -> str:
    """The revision this program is written for."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def current(url: str) -> str:
    """The revision of the database at `url`; "" for one without a schema. Raises StoreError."""
    engine = connect(url)
    try:
        with reading(engine) as connection:
            return _revision(connection)
    finally:
        engine.dispose()


def upgrade(url: str) -> str:
    """Brings the database at `url` to `head()`, which it returns; changes nothing if it is there already.

    Each revision is a transaction, and each step to the daily partitions of PostgreSQL: what breaks off goes on where it was. Of
    two upgrades at once one waits for the other. In PostgreSQL nobody waits longer than a third of a second for an upgrade that
    waits itself. Raises StoreError, Busy when a lock was not had; SchemaOutdated if the database is newer than this program.
    """
    engine = connect(url)
    try:
        with _alone(engine):
            for revision in _missing(engine, url):
                insist(partial(_upgrade_to, engine, revision))
            if engine.dialect.name == "postgresql":
                partition_tables(engine, at=time.time_ns() // 1000)
    finally:
        engine.dispose()
    return head()


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Holds the lock of upgrades, which is the session's: it outlives the transactions."""
    if engine.dialect.name != "postgresql":
        yield
        return
    with waiting(engine) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _UPGRADE_LOCK})
        yield


def _missing(engine: Engine, url: str) -> list[str]:
    """The revisions between the database's and `head()`, in their order."""
    with reading(engine) as connection:
        found = _revision(connection)
    _refuse_newer(found, url)
    scripts = ScriptDirectory.from_config(_config()).iterate_revisions("head", found or "base")
    return [script.revision for script in scripts][::-1]


def _upgrade_to(engine: Engine, revision: str) -> None:
    with briefly(engine, longest_ms=0) as connection:
        if _revision(connection) >= revision:  # SQLite: another upgrade was first
            return
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def check(url: str) -> None:
    """Raises SchemaOutdated, which says what to run, unless the database at `url` has the schema of this program."""
    found = current(url)
    _refuse_newer(found, url)
    if found != head():
        state = f"has the schema {found}" if found else "has no schema yet"
        remedy = f"run `modelctl db upgrade --database {shown(url)}`"
        if url.startswith("sqlite"):
            remedy = f"the control plane brings it there when it starts; without one, {remedy}"
        raise SchemaOutdated(f"the database {state} and this program needs {head()}: {remedy}")


def shown(url: str) -> str:
    """`url` as it can be printed: without its password."""
    return connect(url).url.render_as_string(hide_password=True)


def _refuse_newer(found: str, url: str) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found and found not in known:
        raise SchemaOutdated(
            f"the database {shown(url)} has the schema {found}, which this program does not know: it is newer; run a newer modelctl"
        )


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""


def _config() -> Config:
    config = Config(output_buffer=io.StringIO(), stdout=io.StringIO())
    config.set_main_option("script_location", "modelctl:migrations")
    config.set_main_option("path_separator", "os")
    return config


def main(arguments: Sequence[str]) -> int:
    """Runs `upgrade` or `current` and prints the revision; an error is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m modelctl.store.schema", description="The schema of modelctl's database.")
    parser.add_argument("verb", choices=("upgrade", "current"))
    parser.add_argument("--database", required=True, metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    options = parser.parse_args(arguments)
    try:
        revision = upgrade(options.database) if options.verb == "upgrade" else current(options.database)
    except ModelctlError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{revision or 'no schema'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
