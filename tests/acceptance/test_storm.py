"""Random `kill -9` of every process under load: what was accepted is recorded, once; in sync mode everything that was answered."""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from time import monotonic
from typing import NamedTuple

import pytest

from modelctl.store import schema
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Load, Reply, bodies, flowing, wrong
from tests.acceptance.postgres import Postgres, postgres
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route
from tests.acceptance.storm import WORKER, Kill, Storm
from tests.acceptance.witness import Witness, Written

RATE = 300.0
CONNECTIONS = 24
# A killed worker had answered this long before, at most, what it had not written. Its batches are 5 ms; a busy machine is late.
UNWRITTEN = 1.0
SETTLING = 120.0


class Outcome(NamedTuple):
    """What came of it."""

    replies: Sequence[Reply]
    kills: Sequence[Kill]
    written: Written
    recorded: Sequence[str]
    pairs: Sequence[tuple[str, str]]
    lost: Sequence[Reply]


Print = Callable[[str], None]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Print:
    """Prints past the capture: figures are for whoever runs the tests."""

    def past(line: str) -> None:
        with capsys.disabled():
            print(line)

    return past


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> Iterator[Postgres | None]:
    """A PostgreSQL server that may be killed, or None for SQLite."""
    if request.param == "sqlite":
        yield None
        return
    with postgres() as server:
        schema.upgrade(server.url)
        yield server


def survive(models: Mapping[str, str], folder: Path, *, server: Postgres | None, mode: str, kills: int, say: Print) -> None:
    """The storm, and all that must be true behind it."""
    seed = int(os.environ.get("STORM_SEED", "0")) or int.from_bytes(os.urandom(4)) + 1
    say(f"\n{mode}, {'SQLite' if server is None else 'PostgreSQL'}, {kills} kills, STORM_SEED={seed}")
    database = "" if server is None else server.url
    with ExitStack() as stack:
        program = stack.enter_context(running(folder / "data", workers=2, database=database, spool_mode=mode))
        witness = stack.enter_context(Witness(program.data_dir / "spool", folder / "witness"))
        storm = Storm(program, server, chance=Random(seed))
        replies = rage(program, models, storm=storm, kills=kills)
        outcome = settled(program, witness, replies=replies, kills=storm.kills)
    say(f"  {dict(storm.counts())}: {figures(outcome)}")
    judge(outcome, mode)


def rage(program: Program, models: Mapping[str, str], *, storm: Storm, kills: int) -> Sequence[Reply]:
    """Clients before, in and behind the storm: all they were answered."""
    add_backends(program, models)
    add_route(program, "storm", "--unit", "header:x-user-id")
    program.modelctl("canary", "storm", "new", "--percent", "10", "--shadow-percent", "50").done()
    with flowing(Load(program.port, bodies("storm", "/storm", units=200), connections=CONNECTIONS, rate=RATE)) as flow:
        storm.rage(kills)
        until(lambda: len(program.pids(WORKER)) == program.workers, what="all workers", within=SETTLING)
        flow.wait_for(300)
    return flow.replies


def settled(program: Program, witness: Witness, *, replies: Sequence[Reply], kills: Sequence[Kill]) -> Outcome:
    """What stands in the database once everything that was written is in it."""
    ledger = Ledger(program.database_url)
    spools = program.data_dir / "spool"
    alive = program.workers
    until(lambda: len(list(spools.glob("*/lock"))) == alive, what="the end of the dead workers' spools", within=SETTLING)
    witness.look()
    written = witness.written()
    until(lambda: len(ledger.request_ids("storm")) >= len(written.predictions), what="the last records", within=SETTLING)
    ledger.conserved()
    assert {row.dropped for row in ledger.spools()} == {"{}"}, "the spools dropped records: is a tenth of the disk free?"
    assert ledger.one("SELECT coalesce(sum(duplicate + quarantined), 0) FROM spool") == 0
    recorded = [row.id for row in ledger.rows("SELECT id FROM prediction")]
    pairs = [(row.prediction_id, row.candidate) for row in ledger.rows("SELECT prediction_id, candidate FROM pair")]
    known = set(ledger.request_ids("storm"))
    return Outcome(replies, kills, written, recorded, pairs, [r for r in replies if not r.failure and r.ask.id not in known])


def judge(outcome: Outcome, mode: str) -> None:
    """The laws."""
    assert wrong(outcome.replies) == []
    assert {reply.status for reply in outcome.replies if not reply.failure} == {200}
    assert sorted(outcome.recorded) == sorted(outcome.written.predictions)
    assert len(set(outcome.recorded)) == len(outcome.recorded)
    assert sorted(outcome.pairs) == sorted(outcome.written.pairs)
    assert {reply.ask.id for reply in outcome.lost}.isdisjoint(outcome.written.request_ids)
    if mode == "sync":
        assert outcome.lost == []
    assert all(unwritten_for(reply, outcome.kills) < UNWRITTEN for reply in outcome.lost)


def end_of(reply: Reply, kills: Sequence[Kill]) -> Kill:
    """The next kill of a worker; an answer may arrive while its worker is being killed."""
    ends = (kill for kill in kills if kill.part == WORKER and kill.at > reply.ended_at - 0.05)
    return min(ends, key=lambda kill: kill.at, default=Kill("no kill", reply.ended_at + SETTLING))


def unwritten_for(reply: Reply, kills: Sequence[Kill]) -> float:
    """Seconds from its end to that of its worker."""
    return max(0.0, end_of(reply, kills).at - reply.ended_at)


def figures(outcome: Outcome) -> str:
    """One line for people."""
    good = sum(reply.good for reply in outcome.replies)
    rows = [*outcome.recorded, *outcome.pairs]
    counts = {
        "answered": good,
        "cut off": len(outcome.replies) - good,
        "accepted": len(outcome.written.predictions),
        "recorded": len(outcome.recorded),
        "pairs": len(outcome.pairs),
        "rows twice": len(rows) - len(set(rows)),
        "bytes torn": outcome.written.torn_bytes,
    }
    seconds = outcome.kills[-1].at - outcome.kills[0].at
    return f"{seconds:.0f} s, {', '.join(f'{count} {what}' for what, count in counts.items())}; {losses(outcome)}"


def losses(outcome: Outcome) -> str:
    """What clients have been answered and nobody will ever know."""
    if not outcome.lost:
        return "nothing that was answered is missing"
    age = max(unwritten_for(reply, outcome.kills) for reply in outcome.lost)
    most = max(Counter(end_of(reply, outcome.kills) for reply in outcome.lost).values())
    return f"{len(outcome.lost)} answered are missing, at most {most} by one kill, the oldest {1000 * age:.1f} ms before it"


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_what_was_answered_in_sync_mode_survives_twelve_kills(
    models: Mapping[str, str], tmp_path: Path, *, server: Postgres | None, say: Print
) -> None:
    survive(models, tmp_path, server=server, mode="sync", kills=12, say=say)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_what_was_accepted_survives_a_hundred_kills(
    models: Mapping[str, str], tmp_path: Path, *, server: Postgres | None, mode: str, say: Print
) -> None:
    started = monotonic()
    survive(models, tmp_path, server=server, mode=mode, kills=100, say=say)
    say(f"  {monotonic() - started:.0f} s in all")
