"""SIGTERM to the whole program while traffic flows: what was asked is answered, and what was answered is recorded."""

import signal
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from time import monotonic

import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Ask, Load, failures, flowing, wrong
from tests.acceptance.program import Program, running
from tests.acceptance.scene import add_backends, add_route

SLOW = 800  # milliseconds


@pytest.fixture
def program(models: Mapping[str, str], tmp_path: Path) -> Iterator[Program]:
    with running(tmp_path, workers=2) as program:
        add_backends(program, models)
        add_route(program, "ending")
        program.modelctl("canary", "ending", "new", "--percent", "20", "--shadow-percent", "50").done()
        yield program


def some_slow(prefix: str) -> Iterator[Ask]:
    """Requests without end; every tenth takes the model long."""
    for number in count():
        yield Ask(f"{prefix}-{number}", b'{"x":%d}' % number, "/ending", wait=0 if number % 10 else SLOW)


def test_sigterm_answers_what_was_asked_and_records_what_was_answered(program: Program) -> None:
    with flowing(Load(program.port, some_slow("ending"), connections=80, rate=400.0)) as flow:
        flow.wait_for(600)
        asked_at = monotonic()
        assert program.stop() == 0
    ledger = Ledger(program.database_url)
    before = [reply for reply in flow.replies if reply.sent_at < asked_at]
    assert not failures(before)
    slow = [reply for reply in before if reply.ask.wait and reply.ended_at > asked_at]
    assert len(slow) > 5
    assert wrong(flow.replies) == []
    # What came later was refused, or cut off before it was read: it left no trace, and nobody waited for an answer in vain.
    late = [reply for reply in flow.replies if not reply.good]
    assert late
    assert all(reply.failure.startswith(("no connection", "closed before")) for reply in late), failures(late)
    assert max(reply.ended_at - reply.sent_at for reply in late) < SLOW / 2_000
    answered = {reply.ask.id for reply in flow.replies if reply.good}
    recorded = ledger.request_ids("ending")
    assert sorted(recorded) == sorted(answered)
    assert ledger.broken_laws() == []
    assert ledger.one("SELECT count(*) FROM prediction WHERE outcome <> 'ok'") == 0


def test_a_shadow_that_answers_after_its_client_was_answered_is_waited_for(
    program: Program, slow_model: str, *, models: Mapping[str, str]
) -> None:
    program.modelctl("backend", "add", "slow", slow_model).done()
    path = add_route(program, "shown")
    program.modelctl("shadow", "shown", "slow", "--max-inflight", "1000").done()
    asks = [Ask(f"shown-{number}", b"{}", path) for number in range(100)]
    assert not failures(Load(program.port, asks).run())
    assert program.stop() == 0
    ledger = Ledger(program.database_url)
    assert len(ledger.request_ids("shown")) == 100
    assert ledger.one("SELECT count(*) FROM pair WHERE route = 'shown'") == 100


def test_a_stopped_program_starts_again_where_it_was(program: Program) -> None:
    with flowing(Load(program.port, some_slow("first"), connections=40, rate=200.0)) as flow:
        flow.wait_for(100)
    assert program.stop() == 0
    with running(program.data_dir, workers=2) as again:
        assert {worker["version"] for worker in again.status()["workers"]} == {Ledger(again.database_url).version()}
        replies = Load(again.port, [Ask(f"second-{number}", b"{}", "/ending") for number in range(400)]).run()
        assert not failures([*flow.replies, *replies])
        assert {reply.arm for reply in replies} == {"old", "new"}
        ledger = Ledger(again.database_url)
        ledger.recorded(flow.replies, "first")
        ledger.recorded(replies, "second")
        ledger.conserved()


def test_a_second_sigterm_does_not_hurry_the_drain(program: Program) -> None:
    with flowing(Load(program.port, some_slow("twice"), connections=40, rate=200.0)) as flow:
        flow.wait_for(200)
        asked_at = monotonic()
        program.signal(signal.SIGTERM)
        program.signal(signal.SIGTERM)
        assert program.stop() == 0
    assert not failures([reply for reply in flow.replies if reply.sent_at < asked_at])
