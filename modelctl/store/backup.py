"""`python -m modelctl.store.backup --database URL FILE`: the program behind `modelctl db backup`.

A SQLite database is copied while it runs: VACUUM INTO reads one state of it, as any reader, so nobody waits for it. The copy is
synced and gets its name when it is whole. PostgreSQL has pg_dump for that.
"""

import argparse
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import make_url

from modelctl.errors import Conflict, InvalidInput, ModelctlError, StoreError
from modelctl.store import schema
from modelctl.store.engine import BUSY_TIMEOUT


def backup(url: str, target: Path) -> int:
    """Writes one state of the SQLite database at `url` to a new file; its bytes. Raises InvalidInput for another database,
    Conflict when the file exists, StoreError."""
    if make_url(url).get_backend_name() != "sqlite":
        raise InvalidInput("this is for SQLite; for PostgreSQL: pg_dump --format=custom --file=FILE URL")
    if target.exists():
        raise Conflict(f"{target} exists already: name a new file")
    if not target.parent.is_dir():
        raise InvalidInput(f"there is no folder {target.parent}")
    schema.check(url)
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)
        _copy(url, part)
        _sync(part)
        part.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise StoreError(f"the backup cannot be written: {error}") from error
    return target.stat().st_size


def _copy(url: str, part: Path) -> None:
    connection = sqlite3.connect(str(make_url(url).database), timeout=BUSY_TIMEOUT, isolation_level=None)
    try:
        connection.execute("VACUUM INTO ?", (str(part),))
    except sqlite3.Error as error:
        raise StoreError(f"the database cannot be copied: {error}") from error
    finally:
        connection.close()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def main(arguments: Sequence[str]) -> int:
    """Prints what was written; an error is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m modelctl.store.backup", description="Copies modelctl's SQLite database.")
    parser.add_argument("--database", required=True, metavar="URL", help="sqlite:///FILE")
    parser.add_argument("file", type=Path, help="the new file")
    options = parser.parse_args(arguments)
    try:
        size = backup(options.database, options.file)
    except ModelctlError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"wrote {options.file}, {size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
