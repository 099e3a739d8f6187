"""How long until a rollout can decide: before it starts, while it runs, and what makes it sooner."""

from collections.abc import Mapping

import httpx
import msgspec
import pytest
from sqlalchemy import Engine

from modelctl.controlplane.operations.outlook import Plan, PlanBody, plan_rollout
from modelctl.controlplane.operations.terms import ConductChanges
from modelctl.errors import InvalidInput, NotFound
from modelctl.latency import bucket_index
from modelctl.store.summing import Sum
from tests.controlplane.scene import AT, populate, served, start, store_sums

MINUTE = 60_000_000
HALF_A_POINT = "error_rate:guardrail:margin=0.005"


def plan(engine: Engine, **wanted: object) -> Plan:
    return plan_rollout(engine, "fraud", wanted=PlanBody(**wanted), at=AT)  # type: ignore[arg-type]


def test_a_canary_is_forecast_at_its_share_with_what_is_usual(lite: Engine) -> None:
    populate(lite, "a", "b")
    found = plan(lite, parameters={"percent_bp": 500}, gates=(HALF_A_POINT,), rate=100.0)
    (gate,) = found.gates
    assert (gate.baseline, gate.baseline_from, gate.unit, gate.design) == (0.01, "assumed", "requests", "split")
    assert gate.needed == pytest.approx(101_424, abs=1), "the planning table's 65k times 1.55, for a candidate without harm"
    assert gate.seconds == pytest.approx(1014.24, abs=0.01)
    assert gate.seconds is not None
    assert gate.at == AT + round(gate.seconds * 1_000_000)
    assert gate.probability_now == 0
    assert gate.probability_then == pytest.approx(0.8, abs=0.03)
    assert gate.lever == "raise share 5 % to 10 %: 17 min becomes 8.9 min"
    assert (found.rate, found.rate_from, found.seconds) == (100.0, "given", gate.seconds)


def test_a_gate_that_can_be_judged_in_two_ways_is_planned_in_both(lite: Engine) -> None:
    populate(lite, "a", "b")
    found = plan(lite, parameters={"percent_bp": 500, "shadow_bp": 2000}, gates=(HALF_A_POINT,), rate=100.0)
    assert [gate.design for gate in found.gates] == ["paired", "split"]
    assert found.gates[0].lever == "show the candidate 40 % of the rest: 12 min becomes 5.8 min"
    assert found.seconds == found.gates[1].seconds, "the slowest decides"


def test_each_step_says_how_long_it_would_take(lite: Engine) -> None:
    populate(lite, "a", "b")
    steps = plan(lite, parameters={"percent_bp": 500, "steps_bp": [5000]}, gates=(HALF_A_POINT,), rate=100.0).steps
    assert [step.title for step in steps] == ["5% to candidate", "50% to candidate"]
    assert steps[0].seconds == pytest.approx(1014.24, abs=0.01)
    assert steps[1].seconds == pytest.approx(192.7, abs=0.1), "a half share is best"


def test_pairs_decide_far_sooner_than_a_small_share(lite: Engine) -> None:
    populate(lite, "a", "b")
    accuracy = ("accuracy:guardrail:margin=1pt",)
    (pairs,) = plan(lite, strategy="shadow", gates=accuracy).gates
    (split,) = plan(lite, strategy="canary", gates=accuracy).gates
    assert split.lever.startswith("judge it on pairs, --shadow-percent 20 and design=paired: ")
    assert (pairs.unit, split.unit) == ("pairs", "requests")
    assert pairs.requests is not None
    assert split.requests is not None
    assert split.requests / pairs.requests == pytest.approx(70, abs=1), "exact bets on pairs cost 2.1 looks, a split 1.55"


def test_what_was_observed_takes_the_place_of_what_is_usual(lite: Engine) -> None:
    populate(lite, "a", "b")
    store_sums(lite, served("a", 6_000, 300, stage=0), rollout=0, minute=AT // MINUTE - 10)
    found = plan(lite, gates=(HALF_A_POINT,))
    assert found.rate_from == "observed"
    assert found.rate == pytest.approx(6_000 / (AT / 1e6 - (AT // MINUTE - 10) * 60))
    assert (found.gates[0].baseline, found.gates[0].baseline_from, found.gates[0].baseline_n) == (0.05, "observed", 6_000)


def test_what_is_said_takes_the_place_of_what_was_observed(lite: Engine) -> None:
    populate(lite, "a", "b")
    store_sums(lite, served("a", 6_000, 300, stage=0), rollout=0)
    body: dict[str, object] = {"gates": [HALF_A_POINT], "baselines": {"error_rate": {"value": 0.2}}}
    (gate,) = plan_rollout(lite, "fraud", wanted=decoded(body), at=AT).gates
    assert (gate.baseline, gate.baseline_from) == (0.2, "given")
    with pytest.raises(InvalidInput, match="a share lies between 0% and 100%"):
        plan_rollout(lite, "fraud", wanted=decoded(body | {"baselines": {"error_rate": {"value": 20}}}), at=AT)


def decoded(body: Mapping[str, object]) -> PlanBody:
    return msgspec.convert(body, PlanBody)


def test_without_any_traffic_there_is_no_date_and_it_is_said_what_to_type(lite: Engine) -> None:
    populate(lite, "a", "b")
    found = plan(lite, gates=(HALF_A_POINT,))
    assert (found.rate, found.rate_from, found.seconds, found.gates[0].at) == (None, "unknown", None, None)
    assert found.gates[0].requests == pytest.approx(101_424, abs=1)
    assert any("--rate 100/s" in note for note in found.notes)


def test_margins_are_suggested_when_none_are_declared(lite: Engine) -> None:
    populate(lite, "a", "b")
    found = plan(lite)
    assert found.suggested
    assert [gate.gate for gate in found.gates] == [HALF_A_POINT]
    buckets = [Sum(0, "a", "latency", str(bucket_index(ms * 1000)), n) for ms, n in ((12, 900), (180, 100))]
    store_sums(lite, [*served("a", 1_000, 200, stage=0), *buckets], rollout=0)
    gates = [gate.gate for gate in plan(lite).gates]
    assert gates == ["error_rate:guardrail:margin=10%", "slow_rate:guardrail:margin=0.005,slower=190ms"]
    assert [gate.gate for gate in plan(lite, strategy="shadow").gates] == ["error_rate:guardrail:margin=10%"]
    assert [gate.gate for gate in plan(lite, strategy="blue-green").gates] == ["error_rate:guardrail:limit=0.01"]


def test_means_need_a_spread_that_was_seen_or_said(lite: Engine) -> None:
    populate(lite, "a", "b")
    gates = ("prediction:equivalence:margin=0.5",)
    assert "--baseline prediction=12.5,sd=3" in plan(lite, gates=gates).gates[0].reason
    store_sums(lite, [Sum(0, "a", "number", "", 1_000, 0, 0.0, 4_000.0)], rollout=0)
    (gate,) = plan(lite, gates=gates).gates
    assert gate.reason == ""
    assert gate.requests is not None
    assert gate.requests > 1_000


def test_an_open_rollout_is_planned_as_it_stands_with_what_it_has_seen(lite: Engine) -> None:
    populate(lite, "a", "b")
    conduct = ConductChanges(bake_ms=60_000)
    begun = start(lite, parameters={"percent_bp": 500, "steps_bp": [1000]}, gates=(HALF_A_POINT,), conduct=conduct).subject
    store_sums(lite, [*served("a", 95_000, 950), *served("b", 5_000, 50)], rollout=begun.id)
    found = plan(lite)
    (gate,) = found.gates
    assert (found.rollout, found.strategy, found.step, found.suggested) == (begun.id, "canary", 0, False)
    assert gate.seen == 100_000
    assert gate.probability_now == pytest.approx(0.78, abs=0.03)
    assert gate.seconds is not None
    assert any("take 2 min at least" in note for note in found.notes)
    assert plan(lite, strategy="shadow").rollout is None


def test_it_is_asked_for_over_http_and_nothing_changes(api: httpx.Client) -> None:
    for name in ("a", "b"):
        api.post("/v1/backends", json={"name": name, "endpoints": [f"http://{name}.test:8000"]})
    api.post("/v1/routes", json={"name": "fraud", "path": "/fraud", "baseline": "a"})
    answer = api.post("/v1/routes/fraud:plan", json={"gates": ["error_rate:guardrail:margin=0.5pt"], "rate": 50})
    assert answer.status_code == 200
    assert answer.json()["gates"][0]["requests"] == pytest.approx(101_424, abs=1)
    assert api.get("/v1/rollouts").json()["items"] == []
    assert api.post("/v1/routes/nowhere:plan", json={}).status_code == 404
    assert api.post("/v1/routes/fraud:plan", json={"rate": 0}).status_code == 422
    assert api.post("/v1/routes/fraud:plan", json={"conduct": {"bake": 3}}).status_code == 422


def test_a_route_that_is_not_there_cannot_be_planned(lite: Engine) -> None:
    with pytest.raises(NotFound):
        plan(lite)
