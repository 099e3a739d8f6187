"""Traffic that follows verdicts: the whole program under load, with nobody at the keyboard."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from time import monotonic, time

import msgspec
import pytest

from tests.acceptance.automation import AUTO, RATE, ended, from_arm, load, put_mood
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import flowing
from tests.acceptance.program import Program, running
from tests.acceptance.scene import add_backends, add_route

GATE = ("--gate", "error_rate:guardrail:margin=1pt", *AUTO)


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("automation")) as program:
        add_backends(program, models)
        yield program


@pytest.fixture
def ledger(program: Program) -> Ledger:
    return Ledger(program.database_url)


@pytest.fixture
def moods(models: Mapping[str, str]) -> Iterator[Mapping[str, str]]:
    """The models, which are well again at the end."""
    yield models
    for url in models.values():
        put_mood(url, "well")


def test_a_candidate_that_starts_to_fail_gets_nothing_more_within_five_seconds(
    program: Program, ledger: Ledger, moods: Mapping[str, str]
) -> None:
    path = add_route(program, "failing")
    program.modelctl("canary", "failing", "new", "--percent", "5", *GATE).done()
    with flowing(load(program, "failing", path)) as flow:
        flow.wait_for(400)
        put_mood(moods["new"], "failing")
        rollout = ended(program, "failing", within=20)
        flow.wait_for(200)
        replies = flow.stop()
    assert rollout["phase"] == "rolled-back"
    failed = [reply for reply in from_arm(replies, "new") if reply.status == 500]
    assert failed
    assert max(reply.sent_at for reply in from_arm(replies, "new")) - min(reply.sent_at for reply in failed) < 5.0
    (event,) = ledger.rows("SELECT actor, reason, detail FROM event WHERE action = 'rollback' AND route = 'failing'")
    assert event.actor == "controller"
    assert "new" in event.reason
    assert ledger.one("SELECT count(*) FROM decision WHERE kind = 'rollback' AND rollout = :id", id=rollout["id"]) == 1
    (zero,) = ledger.rows("SELECT detail FROM event WHERE action = 'zero-traffic' AND route = 'failing'")
    course = msgspec.json.decode(zero.detail)
    assert course["first_failure_at"] < course["decided_at"] < course["zero_at"]
    assert 0 < course["ms_to_zero"] < 5000
    # And its clients have an answer from the baseline from then on.
    assert all(reply.good for reply in replies[-100:])


def test_an_equal_candidate_is_promoted_step_by_step_with_nobody_there(program: Program, ledger: Ledger) -> None:
    path = add_route(program, "equal")
    steps = ("--percent", "1", "--steps", "1,5,20,50", "--bake", "1s", "--min-n", "300")
    # Four points of margin need some hundred answers without a failure; one point needs four times as many.
    program.modelctl("canary", "equal", "third", *steps, "--gate", "error_rate:guardrail:margin=4pt", *AUTO).done()
    with flowing(load(program, "equal", path)) as flow:
        rollout = ended(program, "equal", within=150)
        flow.wait_for(200)
        replies = flow.stop()
    assert (rollout["phase"], rollout["winner"]) == ("promoted", "third")
    shares = [row.shares for row in ledger.rows("SELECT arms AS shares FROM stage WHERE route = 'equal' ORDER BY id")]
    assert len(shares) == 4
    assert all(reply.good for reply in replies)
    assert {reply.arm for reply in replies[-100:]} == {"third"}
    kinds = [row.kind for row in ledger.rows("SELECT kind FROM decision WHERE rollout = :id ORDER BY id", id=rollout["id"])]
    assert kinds[-1] == "promote"
    assert {event.actor for event in ledger.rows("SELECT actor FROM event WHERE route = 'equal' AND action = 'advance'")} == {
        "controller"
    }


def test_a_candidate_that_only_answers_otherwise_is_held_back_by_the_pairs(
    program: Program, ledger: Ledger, moods: Mapping[str, str]
) -> None:
    path = add_route(program, "differing")
    gate = ("--gate", "agreement:guardrail:limit=95%")
    program.modelctl("shadow", "differing", "new", "--percent", "100", *gate, *AUTO).done()
    with flowing(load(program, "differing", path)) as flow:
        rollout = ended(program, "differing", within=30)
        replies = flow.stop()
    assert rollout["phase"] == "rolled-back"
    assert all(reply.good and reply.arm == "old" for reply in replies)


def test_an_answer_is_in_the_sums_within_a_second(program: Program, ledger: Ledger) -> None:
    path = add_route(program, "prompt")
    program.modelctl("canary", "prompt", "new", "--percent", "50").done()
    query = "SELECT coalesce(sum(n), 0) FROM rollup WHERE route = 'prompt' AND metric = 'requests'"
    seen: list[tuple[float, int]] = []
    with flowing(load(program, "prompt", path)) as flow:
        while len(flow.replies) < 10 * RATE:
            seen.append((monotonic(), int(ledger.one(query))))
        replies = flow.stop()
    ends = sorted(reply.ended_at for reply in replies)
    # At every look: how old was the oldest answer that was not summed up yet.
    lags = sorted(max(0.0, at - ends[counted]) for at, counted in seen if counted < len(ends))
    assert lags[int(0.99 * len(lags))] < 1.0


def test_a_control_plane_that_dies_leaves_its_rollout_to_the_next_one(
    models: Mapping[str, str], moods: Mapping[str, str], tmp_path: Path
) -> None:
    with running(tmp_path / "dying") as program:
        add_backends(program, models)
        path = add_route(program, "orphan")
        program.modelctl("canary", "orphan", "new", "--percent", "20", *GATE).done()
        with flowing(load(program, "orphan", path)) as flow:
            flow.wait_for(200)
            program.restarted("controlplane", program.kill("controlplane"))
            put_mood(moods["new"], "failing")
            rollout = ended(program, "orphan", within=40)
            flow.stop()
        assert rollout["phase"] == "rolled-back"
        assert rollout["closed_at"] <= time() * 1000
