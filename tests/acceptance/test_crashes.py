"""`kill -9` of one process at a time while traffic flows: what is accepted is recorded, once, and everything comes back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Load, bodies, failures, flowing, wrong
from tests.acceptance.program import Program, connections_of, running, until
from tests.acceptance.scene import add_backends, add_route

RATE = 500.0
CONNECTIONS = 24
# What a worker has answered and not yet written when it is killed: its batch is 5 ms, and a busy machine is late.
UNWRITTEN = 0.050


@contextmanager
def prepared(models: Mapping[str, str], folder: Path, *, database: str = "") -> Iterator[Program]:
    """Two workers, and a route whose candidate is shown everything and answers a tenth."""
    with running(folder, workers=2, database=database) as program:
        add_backends(program, models)
        add_route(program, "busy")
        program.modelctl("canary", "busy", "new", "--percent", "10", "--shadow-percent", "100").done()
        yield program


@pytest.fixture
def program(models: Mapping[str, str], tmp_path: Path) -> Iterator[Program]:
    with prepared(models, tmp_path) as program:
        yield program


def load(program: Program, *, keep: bool = True) -> Load:
    prefix = "busy" if keep else "after"
    return Load(program.port, bodies(prefix, "/busy"), connections=CONNECTIONS, rate=RATE, keep=keep)


def every_spool_is_over(program: Program, besides: int) -> None:
    """Returns when the spools of workers that are gone have been recorded to their end, and deleted."""
    spools = program.data_dir / "spool"
    until(lambda: sum(folder.is_dir() for folder in spools.iterdir()) == besides, what="the end of the old spools")


def test_a_killed_worker_loses_its_connections_and_at_most_its_last_batch(program: Program) -> None:
    ledger = Ledger(program.database_url)
    with flowing(load(program)) as flow:
        flow.wait_for(1_000)
        held = {pid: connections_of(pid, program.port) for pid in program.pids("router")}
        number = max(range(2), key=lambda number: held[program.pids("router")[number]])
        killed_at = monotonic()
        killed = program.kill("router", number)
        program.restarted("router", killed)
        flow.wait_for(1_000)
    broken = [reply for reply in flow.replies if not reply.good]
    assert held[killed] > 0
    assert len(broken) <= held[killed], failures(flow.replies)
    assert all(reply.failure and reply.sent_at < killed_at + 1 for reply in broken), failures(flow.replies)
    assert wrong(flow.replies) == []
    with flowing(load(program, keep=False)) as after:
        after.wait_for(500)
    assert not failures(after.replies)
    ledger.recorded(after.replies, "after")

    every_spool_is_over(program, besides=2)
    recorded = ledger.request_ids("busy")
    assert len(recorded) == len(set(recorded))
    answered = {reply.ask.id: reply.ended_at for reply in flow.replies if reply.good}
    missing = set(answered) - set(recorded)
    just_before = {id_ for id_, at in answered.items() if killed_at - UNWRITTEN < at < killed_at + UNWRITTEN}
    assert missing <= just_before
    assert set(recorded) <= set(answered) | {reply.ask.id for reply in broken}
    assert len(ledger.spools()) == 3
    ledger.conserved()


def test_a_killed_recorder_is_not_noticed_by_clients_and_records_nothing_twice(
    models: Mapping[str, str], tmp_path: Path, *, database_url: str
) -> None:
    ledger = Ledger(database_url)
    with prepared(models, tmp_path / "data", database=database_url) as program:
        with flowing(load(program)) as flow:
            for _ in range(3):
                flow.wait_for(400)
                program.restarted("recorder", program.kill("recorder"))
            flow.wait_for(400)
        assert not failures(flow.replies)
        assert wrong(flow.replies) == []
        ledger.recorded(flow.replies, "busy")
        ledger.conserved()
        assert ledger.one("SELECT sum(duplicate + quarantined + corrupt_bytes) FROM spool") == 0
        shown = ledger.one("SELECT count(*) FROM prediction WHERE arm = 'old'")
        until(lambda: ledger.one("SELECT count(*) FROM pair") == shown, what=f"{shown} pairs")


def test_a_killed_control_plane_is_not_noticed_by_clients_and_takes_commands_again(program: Program) -> None:
    ledger = Ledger(program.database_url)
    with flowing(load(program)) as flow:
        for _ in range(2):
            flow.wait_for(300)
            program.restarted("controlplane", program.kill("controlplane"))
        done = program.modelctl("promote", "busy", "-o", "json").done().json
        at = monotonic()
        flow.wait_for(300)
    assert done["convergence"]["converged"]
    assert len(done["convergence"]["workers"]) == 2
    assert {reply.arm for reply in flow.replies if reply.sent_at > at} == {"new"}
    assert not failures(flow.replies)
    assert wrong(flow.replies) == []
    ledger.recorded(flow.replies, "busy")
    ledger.conserved()


def test_a_worker_killed_again_and_again_always_comes_back_and_serves(program: Program) -> None:
    ledger = Ledger(program.database_url)
    for round_ in range(3):
        killed = program.kill("router", round_ % 2)
        program.restarted("router", killed)
        sleep(0.1)
    program.ready()
    with flowing(load(program)) as flow:
        flow.wait_for(500)
    assert not failures(flow.replies)
    ledger.recorded(flow.replies, "busy")
