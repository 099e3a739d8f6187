"""Slices: found, ranked and flagged from a recorder's sums, and judged where one is declared a guardrail."""

import random
from collections.abc import Sequence

import msgspec
import numpy as np
import pytest
from scipy.stats import norm

from modelctl.conduct import Conduct
from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Evidence, Row
from modelctl.controlplane.judgement.figures import how_many
from modelctl.controlplane.judgement.judging import judge
from modelctl.controlplane.judgement.levels import fire_alpha, planned
from modelctl.controlplane.judgement.needed import metrics_for
from modelctl.controlplane.judgement.sums import Sums
from modelctl.controlplane.report.slices import SHOWN, Slices, slices
from modelctl.errors import InvalidInput
from modelctl.evidence import Answer
from modelctl.gate import check_gate, gate_text, parse_gate
from modelctl.metric import Design
from modelctl.rollout import Rollout
from modelctl.statistics.multiplicity import benjamini_hochberg
from modelctl.store.summing import Sum
from tests.controlplane.folded import DIMENSIONS, Model, evidence, rollout, said, stream
from tests.controlplane.judged import FIVE_PERCENT, NOW, SHADOW, gated, judged
from tests.controlplane.judged import evidence as stored
from tests.controlplane.scene import served, stages_of


def model(arm: str, *, failing: float = 0.02, on_phone: float | None = None, other: float = 0.05) -> Model:
    """Fails at a rate, on phones at one of its own; says another label at a rate."""

    def answer(device: str, chance: random.Random) -> Answer:
        rate = failing if on_phone is None or device != "phone" else on_phone
        label = "no" if chance.random() < other else "yes"
        return said(arm, label, failed=chance.random() < rate)

    return answer


def found(of: Evidence) -> Slices:
    answer = slices(of)
    assert answer is not None
    return answer


def test_a_candidate_that_fails_in_one_slice_only_is_found_there_first() -> None:
    answer = found(evidence(stream(model("old"), model("new", on_phone=0.3), count=3_000, seed=1)))
    assert [(one.dimension, one.value, one.direction) for one in answer.first[:2]] == [("device", "phone", "worse")] * 2
    assert {one.kind for one in answer.first[:2]} == {"failures", "failures on the same requests"}
    assert all(one.flagged for one in answer.first[:2])
    flagged = {(one.dimension, one.value) for one in answer.first if one.flagged}
    assert not flagged & {("device", name) for name in ("tablet", "desktop", "tv")}
    assert "first device phone" in answer.sentence


def test_slices_are_ranked_by_evidence_and_say_what_they_mean() -> None:
    answer = found(evidence(stream(model("old"), model("new", on_phone=0.3), count=2_000, seed=2)))
    evidence_ = [one.measure.log10_e for one in answer.first]
    assert evidence_ == sorted(evidence_, key=lambda one: -(one or 0.0))
    assert answer.compared == len(answer.first)
    for one in answer.first:
        assert one.sentence.startswith(f"{one.dimension} {one.value}: ")
        assert one.measure.source.startswith("docs/statistics.md#")
        if one.measure.estimate is not None and one.measure.lower is not None and one.measure.upper is not None:
            assert one.measure.lower <= one.measure.estimate <= one.measure.upper


def test_a_slice_where_the_predictions_differ_more_than_elsewhere_stands_out() -> None:
    def new(device: str, chance: random.Random) -> Answer:
        return said("new", "no" if device == "tv" and chance.random() < 0.4 else "yes")

    answer = found(evidence(stream(model("old", other=0.02), new, count=3_000, seed=3)))
    first = next(one for one in answer.first if one.kind == "different predictions")
    assert (first.dimension, first.value, first.flagged, first.direction) == ("device", "tv", True, "more")


@pytest.mark.parametrize(("n", "words"), [(1, "1 comparison"), (2, "2 comparisons"), (1_200, "1,200 comparisons")])
def test_one_comparison_is_said_as_one(n: int, words: str) -> None:
    assert how_many(n, "comparison") == words


def test_slices_never_decide() -> None:
    whole = evidence(stream(model("old"), model("new", on_phone=0.3), count=1_000, seed=4))
    bare = [row for row in whole.sums.rows if not row.metric.startswith("slice:")]
    without = msgspec.structs.replace(whole.rollout, dimensions=())
    other = Evidence(rollout=without, stages=whole.stages, sums=Sums(bare), pivots={})
    assert judge(whole, at=NOW) == judge(other, at=NOW)


def test_slices_of_split_traffic_with_units_on_their_arm_are_not_compared() -> None:
    records = stream(model("old"), model("new", on_phone=0.5), count=600, seed=5)
    answer = found(evidence(records, of=rollout(unit="header:x-user")))
    assert {one.kind for one in answer.first} <= {"failures on the same requests", "different predictions"}
    assert "Units are kept on their arm" in answer.note


def test_without_dimensions_there_are_no_slices() -> None:
    assert slices(stored(FIVE_PERCENT, served("a", 100, 1))) is None


def test_of_very_many_slices_the_first_are_shown_and_all_are_counted() -> None:
    sums = [row for value in range(150) for row in sliced(str(value), (100, 1), (10, 0))]
    answer = found(stored(FIVE_PERCENT, sums))
    assert (answer.compared, len(answer.first), answer.flagged) == (150, SHOWN, 0)


def sliced(value: str, baseline: tuple[int, int], candidate: tuple[int, int], *, metric: str = "error") -> list[Sum]:
    """n and k of both arms in one slice of the dimension device."""
    key = msgspec.json.encode(["device", value]).decode()
    return [Sum(1, arm, f"slice:{metric}", key, n, k) for arm, (n, k) in (("a", baseline), ("b", candidate))]


def test_wrong_predictions_are_compared_by_slice() -> None:
    sums = [
        *sliced("phone", (900, 810), (100, 40), metric="accuracy"),
        *sliced("tv", (900, 810), (100, 90), metric="accuracy"),
    ]
    first, second = found(stored(FIVE_PERCENT, sums)).first
    assert (first.kind, first.value, first.flagged, first.direction) == ("wrong predictions", "phone", True, "worse")
    assert first.baseline == pytest.approx(0.1)
    assert first.candidate_value == pytest.approx(0.6)
    assert not second.flagged


PHONE = "error_rate[device=phone]:guardrail:margin=1pt"


def with_dimensions(of: Rollout, *gates: str, unit: str = "request") -> Rollout:
    asked = tuple(parse_gate(text) for text in gates)
    for gate in asked:
        check_gate(gate, dimensions=DIMENSIONS)
    return msgspec.structs.replace(of, gates=asked, dimensions=DIMENSIONS, unit=unit, conduct=Conduct())


@pytest.mark.parametrize("value", ["phone", "a:b", "x=y", "]:", "[1,2]", "…", "(none)", "é ,limit=1%"])
def test_a_gate_about_a_slice_is_read_back_as_it_is_written(value: str) -> None:
    text = f"error_rate[device={value}]:guardrail:margin=0.01,weight=2"
    gate = parse_gate(text)
    assert gate.slice == ("device", value)
    assert (gate_text(gate), parse_gate(gate_text(gate))) == (text, gate)
    assert gate.name == f"error_rate[device={value}]"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("error_rate[color=red]:guardrail:margin=1pt", "no dimension 'color'; there are device, amount, hour"),
        ("reward[device=phone]:guardrail:margin=1", "reward is not summed up by slice"),
        ("slow_rate[device=phone]:guardrail:limit=1%,slower=1s", "slow_rate is not summed up by slice"),
        ("accuracy[device=phone]:guardrail:margin=1pt,design=paired", "cannot be compared paired"),
        ("error_rate[device=phone]:guardrail", "needs a margin"),
    ],
)
def test_a_gate_about_a_slice_that_cannot_be_judged_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why.replace("(", r"\(")):
        check_gate(parse_gate(text), dimensions=DIMENSIONS)
    with pytest.raises(InvalidInput, match="a slice of error_rate is a dimension and a value"):
        parse_gate("error_rate[device=]:guardrail:margin=1pt")


def gate_row(of: Evidence) -> Row:
    return next(one.row for one in compare(of, at=NOW) if one.row.gate)


def test_a_guardrail_on_a_slice_is_judged_from_that_slice_alone() -> None:
    sums = [
        *served("a", 9_500, 95),
        *served("b", 500, 5),
        *sliced("phone", (950, 10), (50, 30)),
        *sliced("tv", (8_550, 85), (450, 0)),
    ]
    bad = with_dimensions(FIVE_PERCENT, PHONE)
    row = gate_row(stored(bad, sums))
    assert (row.n, row.finding, row.gate) == (1_000, "worse", "error_rate[device=phone]:guardrail:margin=0.01")
    assert row.candidate == pytest.approx(0.6)
    assert judged(bad, sums).word == "rollback"
    assert "where device is phone" in judged(bad, sums).sentence
    fine = with_dimensions(FIVE_PERCENT, PHONE.replace("phone", "tv"))
    assert gate_row(stored(fine, sums)).finding != "worse"


def test_a_guardrail_on_pairs_of_a_slice_counts_its_pairs() -> None:
    sums = [Sum(1, "b", "slice:pair_error", f'["device","phone","{sign}"]', n) for sign, n in (("-", 60), ("0", 930), ("+", 10))]
    row = gate_row(stored(with_dimensions(SHADOW, PHONE), sums))
    assert (row.design, row.n, row.finding) == ("paired", 1_000, "worse")
    limit = with_dimensions(SHADOW, "agreement[device=phone]:guardrail:limit=95%")
    agreed = [Sum(1, "b", "slice:agreement", '["device","phone"]', 2_000, 20)]
    assert gate_row(stored(limit, agreed)).finding == "worse-within-margin"
    assert gate_row(stored(limit, agreed)).candidate == pytest.approx(0.99)


def test_a_slice_without_data_never_passes() -> None:
    sums = [*served("a", 95_000, 950), *served("b", 5_000, 50)]
    held = with_dimensions(FIVE_PERCENT, "error_rate:guardrail:margin=5pt", PHONE)
    assert judged(held, sums).word == "continue"
    without = with_dimensions(FIVE_PERCENT, "error_rate:guardrail:margin=5pt")
    assert judged(without, sums).word == "promote"


def test_a_slice_of_units_on_their_arm_is_not_judged_by_their_requests() -> None:
    sums = [*sliced("phone", (900, 10), (100, 90)), *served("a", 900, 10), *served("b", 100, 90)]
    row = gate_row(stored(with_dimensions(FIVE_PERCENT, PHONE, unit="header:x-user"), sums))
    assert (row.finding, row.lower) == ("no-data", None)
    assert "not kept by unit" in row.reason


def test_a_guardrail_on_a_slice_has_its_part_of_the_error_level_and_is_no_alarm_for_fires() -> None:
    whole, both = (
        with_dimensions(FIVE_PERCENT, *gates)
        for gates in (("error_rate:guardrail:margin=1pt",), (PHONE, "error_rate:guardrail:margin=1pt"))
    )
    (alone,), (part, _) = planned(whole), planned(both)
    assert alone.alpha_rollback == pytest.approx(0.05 / 2), "the alarm for fires has the other half"
    assert part.alpha_rollback == pytest.approx(0.05 / 3)
    assert part.design is Design.SPLIT
    relative = with_dimensions(FIVE_PERCENT, "error_rate[device=phone]:guardrail:margin=10%")
    assert fire_alpha(relative, "b") == pytest.approx(0.05 / 2)


def test_a_judgement_reads_the_sums_of_declared_slices() -> None:
    asked = with_dimensions(FIVE_PERCENT, PHONE, "accuracy[device=phone]:guardrail:margin=1pt")
    assert {"slice:error", "slice:pair_error", "slice:accuracy"} <= set(metrics_for(asked))
    assert not any(name.startswith("slice:") for name in metrics_for(gated(FIVE_PERCENT, "error_rate:guardrail:margin=1pt")))


LOOKS, BATCH, STREAMS = 20, 1_000, 150
VALUES = 12


def flagged_ever(seed: int) -> tuple[bool, bool]:
    """Two equal arms and 12 slices, looked at 20 times: does e-BH flag any, does BH with a z-test at each look?"""
    chance = np.random.default_rng(seed)
    parts, rates = chance.dirichlet(np.ones(VALUES)), chance.uniform(0.01, 0.2, VALUES)
    counted = np.zeros((6, VALUES), dtype=np.int64)
    ever = [False, False]
    stages = stages_of(FIVE_PERCENT)
    for _ in range(LOOKS):
        new = chance.multinomial(BATCH, parts)
        counted[1] += (b := chance.binomial(new, 0.05))
        counted[0] += (a := new - b)
        counted[2] += chance.binomial(a, rates)
        counted[3] += chance.binomial(b, rates)
        counted[4] += (pairs := chance.multinomial(BATCH, parts))
        counted[5] += chance.binomial(pairs, 0.04)
        of = Evidence(rollout=FIVE_PERCENT, stages=stages, sums=Sums(_as_sums(counted)), pivots={})
        ever = [ever[0] or found(of).flagged > 0, ever[1] or min(benjamini_hochberg(_z_tests(counted))) <= 0.10]
    return ever[0], ever[1]


def _as_sums(counted: np.ndarray) -> list[Sum]:
    rows = []
    for place, (n_a, n_b, k_a, k_b, pairs, different) in enumerate(counted.T.tolist()):
        rows += sliced(str(place), (n_a, k_a), (n_b, k_b))
        rows.append(Sum(1, "b", "slice:agreement", f'["device","{place}"]', pairs, different))
    return rows


def _z_tests(counted: np.ndarray) -> Sequence[float]:
    n_a, n_b, k_a, k_b = np.maximum(counted[:4], [[1], [1], [0], [0]])
    pooled = (k_a + k_b) / (n_a + n_b)
    error = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n_a + 1 / n_b), 1e-12))
    p = 2 * norm.sf(np.abs(k_b / n_b - k_a / n_a) / error)
    return [float(one) for one in p]


@pytest.mark.slow
def test_equal_arms_have_no_slice_flagged_at_a_false_discovery_rate_of_a_tenth_at_any_of_twenty_looks() -> None:
    ever = [flagged_ever(seed) for seed in range(STREAMS)]
    assert sum(ours for ours, _ in ever) <= 31, "the 1e-4 upper tail of 150 streams at 0.10"
    assert sum(control for _, control in ever) >= 60, "BH at every look must be seen to fail"


def test_equal_arms_through_the_recorder_have_no_slice_flagged() -> None:
    assert [found(evidence(stream(model("old"), model("new"), count=600, seed=seed))).flagged for seed in range(6)] == [0] * 6
