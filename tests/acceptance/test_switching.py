"""Moving traffic while it flows: no request fails, the command says how long it took, and what it says is true."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from math import sqrt
from time import monotonic
from typing import Any

import httpx
import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Flow, Load, Reply, bodies, failures, flowing, wrong
from tests.acceptance.program import Program, running
from tests.acceptance.scene import add_backends, add_route

RATE = 500.0


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("switching"), workers=2) as program:
        add_backends(program, models)
        yield program
        Ledger(program.database_url).conserved()


@pytest.fixture
def ledger(program: Program) -> Ledger:
    return Ledger(program.database_url)


def load(program: Program, name: str, *, rate: float = RATE) -> Load:
    """Clients of one route."""
    return Load(program.port, bodies(name, f"/{name}"), connections=24, rate=rate)


def arms_after(flow: Flow, moment: float, *, more: int = 300) -> Counter[str]:
    """Who answers requests that were sent after `moment`, of which there will be `more` at least."""
    flow.wait_for(more + 24)
    return Counter(reply.arm for reply in list(flow.replies) if reply.sent_at > moment)


def all_good(replies: list[Reply]) -> None:
    """No request failed, and each got the answer to itself."""
    assert not failures(replies)
    assert wrong(replies) == []


def assert_true_times(ledger: Ledger, convergence: Mapping[str, Any], *, route: str, lost: str) -> None:
    """The last request to the arm that lost its traffic was sent when the command says that it was."""
    command = ledger.one("SELECT max(at) FROM event WHERE route = :route", route=route)
    told = [worker["last_request_ms"][lost] for worker in convergence["workers"]]
    last = ledger.one("SELECT max(at) FROM prediction WHERE route = :route AND arm = :arm", route=route, arm=lost)
    late = [sent for sent in told if sent is not None]
    assert len(told) == 2
    if late:
        assert max(late) == pytest.approx((last - command) / 1000, abs=0.002)
    else:
        assert last <= command


def test_promote_moves_all_traffic_at_once_and_no_request_fails(program: Program, ledger: Ledger) -> None:
    add_route(program, "promoted")
    program.modelctl("canary", "promoted", "new", "--percent", "5").done()
    with flowing(load(program, "promoted")) as flow:
        flow.wait_for(300)
        done = program.modelctl("promote", "promoted", "--reason", "clean", "-o", "json").done().json
        assert set(arms_after(flow, monotonic())) == {"new"}
    all_good(flow.replies)
    assert done["convergence"]["converged"]
    assert done["convergence"]["elapsed_ms"] < 2_000
    ledger.recorded(flow.replies, "promoted")
    assert_true_times(ledger, done["convergence"], route="promoted", lost="old")
    assert ledger.one("SELECT baseline FROM route WHERE name = 'promoted'") == "new"


def test_rollback_takes_all_traffic_from_the_candidate_and_says_how_long_it_still_got_requests(
    program: Program, ledger: Ledger
) -> None:
    add_route(program, "withdrawn")
    program.modelctl("canary", "withdrawn", "new", "--percent", "50").done()
    with flowing(load(program, "withdrawn", rate=1_000.0)) as flow:
        flow.wait_for(300)
        said = program.modelctl("rollback", "withdrawn", "--reason", "errors").done().out
        assert set(arms_after(flow, monotonic())) == {"old"}
    all_good(flow.replies)
    assert re.search(r"live on 2 of 2 workers after [\d.,]+ ms", said)
    assert re.search(r"request (to new was sent [\d.,]+ ms|was sent to new) after the command", said)
    ledger.recorded(flow.replies, "withdrawn")
    assert ledger.one("SELECT baseline FROM route WHERE name = 'withdrawn'") == "old"
    assert ledger.one("SELECT phase FROM rollout WHERE route = 'withdrawn'") == "rolled-back"


def test_rollback_after_a_promote_puts_the_previous_baseline_back(program: Program, ledger: Ledger) -> None:
    add_route(program, "restored")
    program.modelctl("canary", "restored", "new", "--percent", "10").done()
    with flowing(load(program, "restored")) as flow:
        program.modelctl("promote", "restored").done()
        assert set(arms_after(flow, monotonic())) == {"new"}
        done = program.modelctl("rollback", "restored", "-o", "json").done().json
        assert set(arms_after(flow, monotonic())) == {"old"}
    all_good(flow.replies)
    ledger.recorded(flow.replies, "restored")
    assert_true_times(ledger, done["convergence"], route="restored", lost="new")
    assert ledger.one("SELECT baseline FROM route WHERE name = 'restored'") == "old"
    history = ledger.rows("SELECT action FROM event WHERE route = 'restored' ORDER BY id")
    assert [row.action for row in history] == ["add-route", "start", "promote", "rollback"]


def test_green_is_reached_at_the_preview_address_alone_until_the_switch(program: Program, ledger: Ledger) -> None:
    add_route(program, "switched")
    program.modelctl("blue-green", "switched", "new").done()
    preview = f"http://127.0.0.1:{program.port}/-/preview/switched/switched"
    with flowing(load(program, "switched")) as flow:
        previewed = httpx.post(preview, json={"x": 1}, headers={"x-request-id": "preview-0"}, trust_env=False)
        assert (previewed.status_code, previewed.headers["modelctl-arm"]) == (200, "new")
        assert set(arms_after(flow, 0.0)) == {"old"}
        done = program.modelctl("advance", "switched", "-o", "json").done().json
        assert set(arms_after(flow, monotonic())) == {"new"}
        program.modelctl("rollback", "switched").done()
        assert set(arms_after(flow, monotonic())) == {"old"}
    all_good(flow.replies)
    ledger.recorded(flow.replies, "switched")
    assert done["convergence"]["converged"]
    assert ledger.one("SELECT reason FROM prediction WHERE request_id = 'preview-0'") == "preview"


def test_blue_green_ends_with_green_as_the_baseline_when_it_is_promoted(program: Program, ledger: Ledger) -> None:
    add_route(program, "greened")
    program.modelctl("blue-green", "greened", "new").done()
    with flowing(load(program, "greened")) as flow:
        program.modelctl("advance", "greened").done()
        program.modelctl("promote", "greened").done()
        assert set(arms_after(flow, monotonic())) == {"new"}
    all_good(flow.replies)
    ledger.recorded(flow.replies, "greened")
    assert ledger.one("SELECT baseline FROM route WHERE name = 'greened'") == "new"


def test_an_ab_test_splits_between_three_arms_and_its_winner_takes_all(program: Program, ledger: Ledger) -> None:
    add_route(program, "split")
    program.modelctl("ab", "split", "old=50", "new=30", "third=20").done()
    refused = program.modelctl("promote", "split")
    assert refused.code == 2
    assert "modelctl promote split --winner third" in refused.err
    with flowing(load(program, "split", rate=1_000.0)) as flow:
        flow.wait_for(4_000)
        split = [reply.arm for reply in list(flow.replies)]
        program.modelctl("promote", "split", "--winner", "third").done()
        assert set(arms_after(flow, monotonic())) == {"third"}
    all_good(flow.replies)
    for arm, share in {"old": 0.5, "new": 0.3, "third": 0.2}.items():
        # Five standard deviations: every test draws another salt.
        assert abs(split.count(arm) / len(split) - share) < 5 * sqrt(share * (1 - share) / len(split))
    ledger.recorded(flow.replies, "split")
    probabilities = ledger.rows("SELECT DISTINCT arm, probability FROM prediction WHERE route = 'split' AND reason = 'split'")
    assert {(row.arm, row.probability) for row in probabilities} == {("old", 5000), ("new", 3000), ("third", 2000)}
