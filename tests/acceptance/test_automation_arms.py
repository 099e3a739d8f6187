"""Three arms with a reward, and requests that ask for an arm themselves, under load."""

from collections.abc import Iterator, Mapping
from zlib import crc32

import httpx
import pytest

from tests.acceptance.automation import AUTO, RATE, ended, label, load, over, put_mood
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Ask, Load, bodies, flowing
from tests.acceptance.program import Program, running
from tests.acceptance.scene import add_backends, add_route

# A rollout that stays: what comes after one is nobody's comparison.
ADVISE = ("--mode", "advise", "--max-time", "1h")


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("arms")) as program:
        add_backends(program, models)
        yield program


@pytest.fixture
def ledger(program: Program) -> Ledger:
    return Ledger(program.database_url)


def reward(arm: str, request: str) -> float:
    """Between 0 and 1 by chance, and half a point more where `third` answered."""
    return crc32(request.encode()) % 1000 / 1000 + 0.5 * (arm == "third")


def test_of_three_arms_the_one_that_brings_more_is_promoted(program: Program, ledger: Ledger) -> None:
    path = add_route(program, "three")
    gates = ("--gate", "reward:success:mde=0.3", "--gate", "error_rate:guardrail:margin=10pt", "--min-n", "200")
    program.modelctl("ab", "three", "old=34", "new=33", "third=33", *gates, *AUTO).done()
    with flowing(load(program, "three", path)) as flow:
        told = 0
        while not over(program, "three") and told < 4000:
            flow.wait_for(100)
            fresh = flow.replies[told:]
            told += len(fresh)
            label(program, {reply.ask.id: reward(reply.arm, reply.ask.id) for reply in fresh}, kind="reward")
        rollout = ended(program, "three", within=5)
        flow.wait_for(50)
        replies = flow.stop()
    assert (rollout["phase"], rollout["winner"]) == ("promoted", "third")
    assert {reply.arm for reply in replies[-30:]} == {"third"}
    ledger.conserved()


def mixed(route: str) -> Iterator[Ask]:
    """In turn: a request that the split decides, one that a rule takes, one that asks for its arm."""
    for number, ask in enumerate(bodies(route, f"/{route}")):
        yield (ask, ask._replace(path=f"/{route}/beta"), ask._replace(arm="new"))[number % 3]


def test_requests_that_rules_or_clients_send_to_an_arm_count_in_no_comparison(
    program: Program, ledger: Ledger, models: Mapping[str, str]
) -> None:
    add_route(program, "ruled")
    address = f"{program.url}/v1/routes/ruled"
    httpx.patch(address, json={"admission": {"addressable": True}}, trust_env=False).raise_for_status()
    program.modelctl("canary", "ruled", "new", "--percent", "1", "--gate", "error_rate:guardrail:margin=1pt", *ADVISE).done()
    program.modelctl("rule", "add", "ruled", "beta", "--path", "/beta", "--arm", "new").done()
    put_mood(models["new"], "failing")
    try:
        # Hundreds of failures of people who chose them; only those who were drawn by lot may tell the arms apart.
        with flowing(Load(program.port, mixed("ruled"), connections=16, rate=RATE)) as flow:
            flow.wait_for(1500)
            replies = flow.stop()
    finally:
        put_mood(models["new"], "well")
    ledger.conserved()
    drawn = [reply for reply in replies if not reply.ask.arm and not reply.ask.path.endswith("beta")]
    query = "SELECT coalesce(sum(n), 0) AS n, coalesce(sum(k), 0) AS k FROM rollup WHERE route = 'ruled' AND metric = 'error'"
    (sums,) = ledger.rows(query)
    assert sums.n == len(drawn)
    assert sums.k == sum(reply.status == 500 for reply in drawn)
    query = "SELECT DISTINCT reason FROM prediction WHERE route = 'ruled' AND rollout > 0"
    assert {row.reason for row in ledger.rows(query)} == {"split", "rule", "addressed"}
