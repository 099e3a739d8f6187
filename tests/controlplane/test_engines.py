"""Engines that look rarely: nothing is claimed between looks, and only a fire ends a rollout there."""

import msgspec
import pytest
from sqlalchemy import Engine

from modelctl.conduct import Engine as Planned
from modelctl.controlplane.automation.standing import look_at
from modelctl.controlplane.judgement.engines import due_look, refusal
from modelctl.controlplane.judgement.judging import Judgement, judge
from modelctl.controlplane.operations.latching import latch
from modelctl.controlplane.operations.terms import ConductChanges
from modelctl.statistics.group_sequential import Spending, boundaries
from modelctl.store import catalog
from modelctl.store.engine import writing
from modelctl.store.summing import Sum
from tests.controlplane.judged import NOW, evidence, gated, rows_of
from tests.controlplane.scene import ANN, populate, rollout, served, start, store_sums

HALF = rollout("canary", {"percent_bp": 5000})
GATE = "error_rate:guardrail:margin=2pt"
FIXED = gated(HALF, GATE, engine="fixed", max_n=10_000)
PLANNED = gated(HALF, GATE, engine="gst", looks=4, max_n=10_000)


def arms(n: int, *, failures: int = 0) -> list[Sum]:
    return [*served("a", n, n // 100), *served("b", n, failures or n // 100)]


def looked(n: int, taken: tuple[float, ...] = (), *, failures: int = 0) -> Judgement:
    found = evidence(PLANNED, arms(n, failures=failures))
    found = type(found)(rollout=PLANNED, stages=found.stages, sums=found.sums, pivots={}, looks=taken)
    return judge(found, at=NOW)


def test_the_fixed_engine_refuses_a_verdict_before_its_one_look_and_then_gives_one() -> None:
    early = judge(evidence(FIXED, arms(9_999)), at=NOW)
    assert early.word == "continue"
    assert "looks once, at 10,000" in early.sentence
    assert judge(evidence(FIXED, arms(9_999, failures=900)), at=NOW).word == "rollback", "a fire is put out at once"
    assert judge(evidence(FIXED, arms(9_000, failures=300)), at=NOW).word == "continue"
    assert judge(evidence(FIXED, arms(10_000)), at=NOW).word == "promote"
    assert judge(evidence(FIXED, arms(10_000, failures=300)), at=NOW).word == "inconclusive"
    assert judge(evidence(FIXED, arms(10_000, failures=500)), at=NOW).word == "rollback"


def test_a_planned_look_is_taken_when_it_is_due_and_has_the_boundary_of_its_place() -> None:
    assert looked(2_499).look == 0.0
    assert "the next look is at 2,500" in looked(2_499).sentence
    first = looked(2_600)
    assert first.look == 0.26
    assert looked(2_700, (0.26,)).look == 0.0
    second = looked(5_000, (0.26,))
    assert second.look == 0.5
    found = evidence(PLANNED, arms(5_000))
    found = type(found)(rollout=PLANNED, stages=found.stages, sums=found.sums, pivots={}, looks=(0.26,))
    row = rows_of(PLANNED, arms(2_600))[0]
    z = boundaries((0.26,), Spending(alpha=0.05))[-1]
    rate = 26 / 2_600
    assert row.upper == pytest.approx(z * (rate * (1 - rate) * 2 / 2_600) ** 0.5, rel=1e-6)
    assert row.method == "group-sequential"
    assert due_look(found) == 0.5


def test_the_last_look_closes_the_plan_and_nothing_is_extended() -> None:
    last = looked(10_000, (0.25, 0.5, 0.75))
    assert (last.word, last.look) == ("promote", 1.0)
    after = looked(20_000, (0.25, 0.5, 0.75, 1.0))
    assert (after.word, after.look) == ("inconclusive", 0.0)
    assert "the last look was taken" in after.sentence


def test_between_planned_looks_only_a_fire_ends_a_rollout() -> None:
    assert looked(2_000, failures=60).word == "continue"
    assert looked(2_000, failures=400).word == "rollback"


def test_planned_looks_are_refused_for_a_ramp_because_requests_do_not_measure_its_information() -> None:
    ramp = msgspec.structs.replace(PLANNED, steps=rollout("canary", {"percent_bp": 100, "steps_bp": [5000]}).steps)
    assert "one constant share" in refusal(ramp)
    assert refusal(PLANNED) == refusal(gated(HALF, GATE)) == ""


def test_looks_that_were_taken_are_kept_and_read_back(engine: Engine) -> None:
    populate(engine, "a", "b")
    conduct = ConductChanges(engine=Planned.GROUP_SEQUENTIAL, looks=4, max_n=10_000)
    start(engine, parameters={"percent_bp": 5000}, gates=(GATE,), conduct=conduct)
    store_sums(engine, arms(2_600), rollout=1)
    with writing(engine) as connection:
        of = catalog.find_rollout(connection, 1)
        first = look_at(connection, of, at=NOW * 1000)
        assert first.judgement.look == 0.26
        assert latch(connection, first, author=ANN)[0] == "look:1"
        again = look_at(connection, of, at=NOW * 1000)
        assert (again.evidence.looks, again.judgement.look) == ((0.26,), 0.0)
        assert "look:2" not in latch(connection, again, author=ANN)
