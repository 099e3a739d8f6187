"""Each kind of harm, done by a real model under load, ends its rollout with nobody at the keyboard."""

from collections.abc import Iterator, Mapping
from time import time

import pytest

from tests.acceptance.answering import label_of
from tests.acceptance.automation import AUTO, actions, ended, from_arm, label, load, next_of, put_mood, rollout_of
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Reply, flowing
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], twin: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("harm")) as program:
        add_backends(program, {**models, "twin": twin})
        yield program


@pytest.fixture
def ledger(program: Program) -> Ledger:
    return Ledger(program.database_url)


@pytest.fixture
def candidate(twin: str) -> Iterator[str]:
    """The candidate, which answers what the baseline does; it is well again at the end."""
    yield twin
    put_mood(twin, "well")


def old_labels(replies: list[Reply]) -> dict[str, str]:
    """The truth about answered requests: the baseline was always right."""
    return {reply.ask.id: label_of("old", reply.ask.body) for reply in replies if reply.good}


def warm(program: Program, route: str) -> None:
    """As if the first minute of the stage, in which slow answers are excused, were over. No traffic has come yet."""
    stage = rollout_of(program, route)["stage"]
    Ledger(program.database_url).change("UPDATE stage SET opened_at = opened_at - 120000000 WHERE id = :id", id=stage)


def test_a_candidate_that_becomes_slow_is_rolled_back_by_its_limit(program: Program, ledger: Ledger, candidate: str) -> None:
    path = add_route(program, "slowing")
    gate = ("--gate", "slow_rate:guardrail:limit=20%,slower=100ms")
    program.modelctl("canary", "slowing", "twin", "--percent", "20", *gate, *AUTO).done()
    warm(program, "slowing")
    with flowing(load(program, "slowing", path)) as flow:
        flow.wait_for(400)
        assert rollout_of(program, "slowing")["closed_at"] == 0
        put_mood(candidate, "slow")
        rollout = ended(program, "slowing", within=20)
        flow.wait_for(200)
        replies = flow.stop()
    assert rollout["phase"] == "rolled-back"
    # Slow answers come after later requests' quick ones, so the last requests are told by when they were sent.
    assert {reply.arm for reply in sorted(replies, key=lambda reply: reply.sent_at)[-50:]} == {"old"}
    assert all(reply.good for reply in replies)
    (event,) = ledger.rows("SELECT actor, reason FROM event WHERE action = 'rollback' AND route = 'slowing'")
    assert event.actor == "controller"
    assert "slower" in event.reason


def test_labels_that_come_late_roll_back_a_shadow_candidate_that_is_wrong(program: Program, ledger: Ledger, candidate: str) -> None:
    path = add_route(program, "wrong")
    put_mood(candidate, "wrong")
    gate = ("--gate", "accuracy:guardrail:margin=5pt")
    program.modelctl("shadow", "wrong", "twin", "--percent", "100", *gate, *AUTO).done()
    with flowing(load(program, "wrong", path)) as flow:
        flow.wait_for(600)
        # It is wrong all the time, and nobody can know: the word waits for the truth.
        assert rollout_of(program, "wrong")["closed_at"] == 0
        label(program, old_labels(flow.replies))
        rollout = ended(program, "wrong", within=20)
        replies = flow.stop()
    assert rollout["phase"] == "rolled-back"
    assert all(reply.good and reply.arm == "old" for reply in replies)
    ledger.conserved()


def test_a_promotion_is_taken_back_when_labels_prove_harm_afterwards(program: Program, ledger: Ledger, candidate: str) -> None:
    path = add_route(program, "early")
    gate = ("--gate", "accuracy:guardrail:margin=5pt", "--watch", "1h")
    program.modelctl("canary", "early", "twin", "--percent", "50", *gate, *AUTO).done()
    put_mood(candidate, "wrong")
    with flowing(load(program, "early", path)) as flow:
        flow.wait_for(600)
        asked = list(flow.replies)
        refused = program.modelctl("promote", "early")
        assert refused.code != 0
        assert "--force" in refused.err
        program.modelctl("promote", "early", "--force", "--reason", "the labels come next week").done()
        flow.wait_for(100)
        assert flow.replies[-1].arm == "twin"
        label(program, old_labels(asked))
        until(lambda: flow.replies[-1].arm == "old", what="the baseline again")
        flow.wait_for(100)
        replies = flow.stop()
    assert {reply.arm for reply in replies[-50:]} == {"old"}
    assert ledger.one("SELECT count(*) FROM decision WHERE kind = 'watch'") == 1
    assert all(reply.good for reply in replies)


def test_a_blue_green_switches_through_its_gate_and_goes_back_within_seconds_when_its_limit_breaks(
    program: Program, ledger: Ledger, candidate: str
) -> None:
    path = add_route(program, "switching")
    gates = ("--gate", "error_rate:guardrail:limit=5%", "--gate", "agreement:guardrail:limit=90%")
    program.modelctl("blue-green", "switching", "twin", "--shadow-percent", "100", "--min-time", "1h", *gates, *AUTO).done()
    with flowing(load(program, "switching", path)) as flow:
        until(lambda: flow.replies[-1].arm == "twin", what="the switch")
        before = [reply for reply in from_arm(flow.replies, "old") if reply.good]
        assert len(before) > 50  # it had to be proven on pairs first
        assert next_of(program, "switching")["kind"] == "promote"
        broken_at = time()
        put_mood(candidate, "failing")
        rollout = ended(program, "switching", within=20)
        flow.wait_for(100)
        replies = flow.stop()
    assert rollout["phase"] == "rolled-back"
    assert rollout["closed_at"] / 1000 - broken_at < 5
    assert {reply.arm for reply in replies[-50:]} == {"old"}
    assert actions(ledger, "switching").count("advance") == 1
