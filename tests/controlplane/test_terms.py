"""What a rollout may declare: gates its ladder can be judged by, and an end that can be reached."""

import re
from typing import Any

import pytest
from sqlalchemy import Engine

from modelctl.conduct import Mode
from modelctl.controlplane.operations.change import Author
from modelctl.controlplane.operations.freezing import NewFreeze, add_freeze
from modelctl.controlplane.operations.inspecting import read_events, read_rollout
from modelctl.controlplane.operations.routes import NewRoute, add_route
from modelctl.controlplane.operations.starting import NewRollout, start_rollout
from modelctl.controlplane.operations.terms import ConductChanges
from modelctl.errors import Ambiguous, Conflict, GateNotPassed, InvalidInput
from modelctl.gate import gate_text
from modelctl.metric import Field, FieldType
from tests.controlplane.scene import ANN, AT, SALT, populate, served, start, store_sums

HALF_A_POINT = "error_rate:guardrail:margin=0.005"


def conduct(**changes: object) -> ConductChanges:
    return ConductChanges(**changes)  # type: ignore[arg-type]


def test_gates_and_conduct_are_stored_with_the_rollout_and_told_in_the_history(lite: Engine) -> None:
    populate(lite, "a", "b")
    wanted = conduct(mode=Mode.AUTO, max_n=10_000, bake_ms=600_000)
    begun = start(lite, gates=("error_rate:guardrail:margin=0.5pt", "accuracy:success:mde=5pt"), conduct=wanted).subject
    stored = read_rollout(lite, begun.id)
    assert [gate_text(gate) for gate in stored.gates] == [HALF_A_POINT, "accuracy:success:mde=0.05"]
    assert (stored.conduct.mode, stored.conduct.max_n, stored.conduct.bake_ms, stored.conduct.min_n) == (
        "auto",
        10_000,
        600_000,
        1_000,
    )
    (event, *_) = read_events(lite, "fraud", limit=1, cursor=None).items
    assert (event.detail["gates"], event.detail["mode"]) == ([HALF_A_POINT, "accuracy:success:mde=0.05"], "auto")


def test_other_shares_keep_the_gates_and_the_conduct(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite, gates=(HALF_A_POINT,), conduct=conduct(mode=Mode.AUTO, max_n=10_000))
    changed = start(lite, parameters={"percent_bp": 100}).subject
    assert [gate_text(gate) for gate in changed.gates] == [HALF_A_POINT]
    assert (changed.conduct.mode, changed.conduct.max_n) == ("auto", 10_000)


def test_what_is_given_anew_is_merged_into_the_conduct(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite, gates=(HALF_A_POINT,), conduct=conduct(mode=Mode.AUTO, max_n=10_000))
    changed = start(lite, gates=(HALF_A_POINT,), conduct=conduct(bake_ms=5_000)).subject
    assert (changed.conduct.mode, changed.conduct.max_n, changed.conduct.bake_ms) == ("auto", 10_000, 5_000)


@pytest.mark.parametrize(
    "terms",
    [
        {"gates": ("error_rate:guardrail:margin=2pt",)},
        {"gates": ()},
        {"conduct": conduct(alpha_rollback=0.2)},
        {"conduct": conduct(deduplicate=False)},
    ],
)
def test_what_was_declared_before_the_first_request_stays_while_clients_are_answered(lite: Engine, terms: dict[str, Any]) -> None:
    populate(lite, "a", "b")
    begun = start(lite, gates=(HALF_A_POINT,)).subject
    with pytest.raises(Conflict, match="declared before its first request"):
        start(lite, **terms)
    assert read_rollout(lite, begun.id) == begun


def test_a_shadow_with_other_gates_begins_without_the_evidence_of_the_one_before(lite: Engine) -> None:
    populate(lite, "a", "b")
    first = start(lite, "shadow").subject
    second = start(lite, "shadow", gates=("agreement:guardrail:limit=95%",)).subject
    assert first.id != second.id
    assert not read_rollout(lite, first.id).open


@pytest.mark.parametrize(
    ("strategy", "gate", "says"),
    [
        ("canary", "error_rate:guardrail:margin=0.5pt,design=paired", "shows the candidate no requests: add --shadow-percent 20"),
        (
            "canary",
            "agreement:guardrail:limit=95%",
            "needs requests that both answer, and this canary has none: add --shadow-percent 20",
        ),
        ("shadow", "error_rate:guardrail:margin=0.5pt,design=split", "use a canary, leave design=split out"),
        ("shadow", "reward:success:mde=0.1", "gives clients no answers of the candidate: use a canary, or leave the gate out"),
        ("shadow", "slow_rate:guardrail:limit=1%,slower=250ms", "is about answers to clients, and this shadow has none"),
        (
            "blue-green",
            "error_rate:guardrail:margin=0.5pt",
            "no randomised comparison; have green shown requests before the switch with --shadow-percent 20 or declare a limit",
        ),
        ("blue-green", "reward:success:mde=0.1", "no randomised comparison; use a canary"),
        ("canary", "error_rate:guardrail", "needs a margin"),
        ("canary", "latency:guardrail:margin=5%", "there is no metric 'latency'"),
        ("canary", "error_rate", "write METRIC:ROLE:margin=AMOUNT"),
    ],
)
def test_a_gate_that_cannot_be_judged_is_refused_with_what_to_type(lite: Engine, strategy: str, *, gate: str, says: str) -> None:
    populate(lite, "a", "b")
    with pytest.raises(InvalidInput, match=re.escape(says)):
        start(lite, strategy, gates=(gate,))


@pytest.mark.parametrize(
    ("strategy", "gate"),
    [
        ("canary", HALF_A_POINT),
        ("shadow", HALF_A_POINT),
        ("shadow", "agreement:guardrail:limit=95%"),
        ("blue-green", "error_rate:guardrail:limit=1%"),
        ("blue-green", "reward:info"),
        ("shadow", "slow_rate:info:slower=250ms"),
    ],
)
def test_a_gate_that_can_be_judged_is_taken(lite: Engine, strategy: str, *, gate: str) -> None:
    populate(lite, "a", "b")
    assert len(start(lite, strategy, gates=(gate,)).subject.gates) == 1


def test_two_gates_of_one_name_are_refused_and_two_designs_of_one_metric_are_not(lite: Engine) -> None:
    populate(lite, "a", "b")
    with pytest.raises(InvalidInput, match="two gates are about error_rate"):
        start(lite, gates=(HALF_A_POINT, "error_rate:guardrail:margin=10%"))
    both = tuple(f"{HALF_A_POINT},design={design}" for design in ("paired", "split"))
    assert len(start(lite, parameters={"percent_bp": 500, "shadow_bp": 2000}, gates=both).subject.gates) == 2


@pytest.mark.parametrize(
    ("gates", "given", "says"),
    [
        ((), {"max_n": 10_000}, "none is declared: add the harm you tolerate, such as --gate error_rate:guardrail:margin=0.5pt"),
        (("accuracy:success:mde=5pt",), {"max_n": 100_000}, "none is declared"),
        ((HALF_A_POINT,), {}, "mode auto needs an end, so that it can be inconclusive: add --max-n"),
    ],
)
def test_automatic_mode_needs_a_gate_that_can_pass_and_an_end(
    lite: Engine, gates: tuple[str, ...], *, given: dict[str, int], says: str
) -> None:
    populate(lite, "a", "b")
    with pytest.raises(InvalidInput, match=re.escape(says)):
        start(lite, gates=gates, conduct=conduct(mode=Mode.AUTO, **given))


def test_a_maximum_before_which_nothing_can_be_decided_is_refused_with_the_forecast(lite: Engine) -> None:
    populate(lite, "a", "b")
    with pytest.raises(InvalidInput) as refused:
        start(lite, gates=(HALF_A_POINT,), conduct=conduct(max_n=2_000))
    assert str(refused.value) == (
        "--gate error_rate:guardrail:margin=0.5pt: cannot decide before max_n at 5 %: about 5,071 units of the candidate are "
        "needed (101,424 requests of the route; the baseline's error_rate is assumed: 1%), and max_n is 2,000; "
        "give --max-n 5100, or a wider margin"
    )
    assert start(lite, gates=(HALF_A_POINT,), conduct=conduct(max_n=5_100)).subject.id


def test_the_forecast_takes_the_rate_that_was_observed(lite: Engine) -> None:
    populate(lite, "a", "b")
    store_sums(lite, served("a", 100_000, 20_000, stage=0), rollout=0)
    with pytest.raises(InvalidInput, match=re.escape("the baseline's error_rate is observed: 20%), and max_n is 5,100")):
        start(lite, gates=(HALF_A_POINT,), conduct=conduct(max_n=5_100))


def test_a_time_in_which_nothing_can_be_decided_at_the_observed_rate_is_refused(lite: Engine) -> None:
    populate(lite, "a", "b")
    hour = conduct(max_ms=3_600_000)
    start(lite, gates=(HALF_A_POINT,), conduct=hour)
    store_sums(lite, served("a", 6_000, 60, stage=0), rollout=0, minute=AT // 60_000_000 - 10)
    with pytest.raises(InvalidInput, match=r"cannot decide before max_ms at 5 %: about 101,424 .* give a longer --max-time"):
        start(lite, gates=(HALF_A_POINT,), conduct=hour)


def test_a_limit_that_the_baseline_itself_is_proven_to_break_is_refused(lite: Engine) -> None:
    populate(lite, "a", "b")
    limit = ("error_rate:guardrail:limit=1%",)
    store_sums(lite, served("a", 200, 3, stage=0), rollout=0)
    assert start(lite, gates=limit).subject.id, "three of 200 prove nothing"
    store_sums(lite, served("a", 20_000, 400, stage=0), rollout=0)
    with pytest.raises(InvalidInput, match="the baseline's own error_rate is 2%, so a candidate that is as good can never pass"):
        start(lite, gates=limit)


def test_a_metric_of_the_routes_own_can_be_a_gate(lite: Engine) -> None:
    populate(lite, "a", "b")
    flag = Field(name="refused", path="/refused", type=FieldType.FLAG)
    add_route(lite, NewRoute(name="risk", path="/risk", baseline="a", fields=(flag,)), author=ANN)
    begun = start(lite, route="risk", candidates=("b",), gates=("refused:guardrail:margin=1pt",)).subject
    assert begun.fields == (flag,)
    with pytest.raises(InvalidInput, match="there is no metric 'refused'"):
        start(lite, route="fraud", candidates=("b",), gates=("refused:guardrail:margin=1pt",))


def test_a_larger_share_of_an_open_rollout_needs_what_advancing_to_it_would_need(lite: Engine) -> None:
    populate(lite, "a", "b")
    begun = start(lite, gates=(HALF_A_POINT,)).subject
    with pytest.raises(GateNotPassed, match=re.escape("cannot give the candidate 20% of route 'fraud' yet:")):
        start(lite, parameters={"percent_bp": 2_000})
    assert start(lite, parameters={"percent_bp": 100}).subject.current.title == "1% to b", "less is always possible"
    forced = start(lite, parameters={"percent_bp": 2_000}, force=True).subject
    assert (forced.id, forced.current.title) == (begun.id, "20% to b")
    (event, *_) = read_events(lite, "fraud", limit=1, cursor=None).items
    assert event.detail["forced"]


def test_proof_lets_the_share_grow(lite: Engine) -> None:
    populate(lite, "a", "b")
    begun = start(lite, gates=("error_rate:guardrail:margin=5pt",)).subject
    store_sums(lite, [*served("a", 95_000, 950), *served("b", 5_000, 50)], rollout=begun.id)
    assert start(lite, parameters={"percent_bp": 5_000}).subject.current.title == "50% to b"


def test_in_a_freeze_nothing_that_answers_clients_is_started_without_a_reason(lite: Engine) -> None:
    populate(lite, "a", "b")
    add_freeze(lite, NewFreeze(until_at=AT // 1000 + 1), author=ANN)
    with pytest.raises(GateNotPassed, match="Freeze 1 of all routes holds"):
        start(lite)
    assert start(lite, "shadow").subject.id
    assert start(lite, force=True).subject.current.title == "5% to b"
    silent = Author(actor="ann", at=AT)
    with pytest.raises(InvalidInput, match="say why it has to be forced"):
        start_rollout(lite, NewRollout(strategy="canary", parameters={"percent_bp": 9_000}, force=True), author=silent, salt=SALT)


def test_a_command_that_fits_several_backends_is_repeated_with_everything_that_was_asked_for(lite: Engine) -> None:
    populate(lite, "a", "b", "c")
    wanted = conduct(mode=Mode.AUTO, max_n=200_000, bake_ms=600_000, max_ms=604_800_000, ceiling_bp=2_000, watch_ms=1_500)
    with pytest.raises(Ambiguous) as refused:
        start(lite, gates=(HALF_A_POINT,), conduct=wanted)
    assert str(refused.value).splitlines()[1].strip() == (
        f"modelctl canary fraud b --percent 5% --gate {HALF_A_POINT} --mode auto --max-n 200000 --bake 10m --max-time 7d "
        "--watch 1500ms --ceiling 20%"
    )
