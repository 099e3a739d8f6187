"""Which method answers which gate, and on which sums: every number a second time from the statistics themselves."""

import math
import random

import pytest

from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.measured import slow_edge
from modelctl.metric import Field, FieldType, Worse
from modelctl.recorder.rollups import bucket
from modelctl.statistics import arm_given_event, coin, difference, difference_exact, grid_betting
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.difference import MeanStage, Proportion, ProportionStage
from modelctl.statistics.moments import Moments, from_shifted_sums, merge
from modelctl.statistics.tuning import limit_concentration
from modelctl.store.summing import Sum
from tests.controlplane.judged import FIVE_PERCENT, SHADOW, gated, judged, pairs, rows_of
from tests.controlplane.scene import counts, rollout, served

HALF = rollout("canary", {"percent_bp": 5000})
FLAG = Field(name="flagged", path="/flagged", type=FieldType.FLAG, worse=Worse.HIGHER)
SCORE = Field(name="score", path="/score", worse=Worse.LOWER)
ALPHA = 0.05
CANARY_ALPHA = ALPHA / 2  # shared with the alarm for fires


def first(gate: str, sums: list[Sum], *, of: object = FIVE_PERCENT, pivots: dict[str, float] | None = None) -> Row:
    fields = (FLAG, SCORE)
    return rows_of(gated(of, gate, fields=fields), sums, pivots=pivots)[0]  # type: ignore[arg-type]


def rate(arm: str, metric: str, n: int, k: int) -> Sum:
    return Sum(1, arm, metric, "", n, k)


def numbers(arm: str, metric: str, values: list[float], *, pivot: float = 0.0) -> Sum:
    return Sum(1, arm, metric, "", len(values), 0, sum(x - pivot for x in values), sum((x - pivot) ** 2 for x in values))


def moments(values: list[float]) -> Moments:
    return from_shifted_sums(len(values), sum(values), s2=sum(x * x for x in values), pivot=0.0)


def normal(n: int, mean: float, *, seed: int) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(mean, 1.0) for _ in range(n)]


def test_an_absolute_margin_on_split_traffic_is_the_stratified_difference_tuned_for_the_margin() -> None:
    row = first("error_rate:guardrail:margin=0.5pt", [*served("a", 95_000, 950), *served("b", 5_000, 55)])
    stages = [ProportionStage(Proportion(95_000, 950), Proportion(5_000, 55))]
    for_rollback = difference.compare_proportions(stages, tau=0.005, alpha=CANARY_ALPHA)
    for_promote = difference.compare_proportions(stages, tau=0.005, alpha=ALPHA)
    assert (row.lower, row.upper) == (for_rollback.lower, for_promote.upper)
    assert (row.harm_lower, row.harm_upper, row.margin, row.margin_unit) == (row.lower, row.upper, 0.005, "points")
    assert (row.alpha, row.alpha_promote, row.method, row.n) == (CANARY_ALPHA, ALPHA, "normal-mixture", 100_000)


def test_rare_events_on_split_traffic_go_into_the_exact_box() -> None:
    row = first("error_rate:guardrail:margin=0.5pt", [*served("a", 9_500, 3), *served("b", 500, 0)])
    stages = [ProportionStage(Proportion(9_500, 3), Proportion(500, 0))]
    assert row.method == "coin-box"
    assert row.upper == difference_exact.compare(stages, alpha=ALPHA).upper


def test_a_relative_margin_is_the_ratio_of_the_arm_given_an_event() -> None:
    rows = rows_of(gated(FIVE_PERCENT, "error_rate:guardrail:margin=20%"), [*served("a", 95_000, 950), *served("b", 5_000, 55)])
    expected = arm_given_event.compare([EventStage(55, 1005, 0.05)], alpha=ALPHA)
    assert (rows[0].unit, rows[0].lower, rows[0].upper) == ("ratio", expected.lower, expected.upper)
    assert rows[0].harm_upper == pytest.approx(expected.upper - 1)
    assert len(rows) == 1, "the gate is the alarm for fires itself"


def test_a_relative_margin_of_what_should_be_high_is_harmed_from_below() -> None:
    sums = [rate("a", "accuracy", 9_500, 8_550), rate("b", "accuracy", 500, 450)]
    row = first("accuracy:guardrail:margin=10%,design=split", sums)
    assert row.lower is not None
    assert row.harm_upper == pytest.approx(1 - row.lower)
    assert row.needs == "above 0.9"


def test_pairs_of_answers_bet_on_who_was_worse() -> None:
    row = first("error_rate:guardrail:margin=1pt", pairs(30, 10, 9_960), of=SHADOW)
    expected = grid_betting.compare(30, 9_960, n_neg=10, alpha=ALPHA)
    assert (row.method, row.lower, row.upper, row.n) == ("grid-betting", expected.lower, expected.upper, 10_000)
    assert (row.harm_lower, row.harm_upper) == (row.lower, row.upper)


def test_pairs_of_labels_gain_where_only_the_candidate_is_right() -> None:
    row = first("accuracy:guardrail:margin=1pt", pairs(10, 60, 930, metric="accuracy"), of=SHADOW)
    assert row.estimate == pytest.approx(0.05)
    assert row.finding == "better"
    assert row.harm_lower is not None
    assert row.upper == pytest.approx(-row.harm_lower)


def test_a_relative_margin_on_pairs_is_counted_in_the_baselines_own_rate() -> None:
    sums = [*pairs(30, 30, 9_940), rate("a", "error", 10_000, 500)]
    row = first("error_rate:guardrail:margin=50%", sums, of=SHADOW)
    expected = grid_betting.compare(30, 9_940, n_neg=30, alpha=ALPHA / 2)
    low, _ = coin.interval(500, 10_000, alpha=ALPHA / 2)
    assert row.harm_upper == pytest.approx(expected.upper / low)
    assert row.alpha == ALPHA
    assert first("error_rate:guardrail:margin=50%", pairs(0, 0, 9_999), of=SHADOW).harm_upper is None


def test_a_limit_is_about_the_candidate_alone() -> None:
    row = first("error_rate:guardrail:limit=1%", [*served("a", 100, 100), *served("b", 2_000, 5)])
    assert row.null == 0.01
    assert row.margin_unit == "rate"
    expected = coin.compare(5, 2_000, null=0.01, alpha=ALPHA, kappa=limit_concentration(0.01))
    assert (row.upper, row.harm_upper) == (expected.upper, expected.upper)


def test_agreement_has_a_limit_from_below() -> None:
    sums = counts("b", "agreement", {"equal": 990, "different": 10})
    row = first("agreement:guardrail:limit=95%", sums, of=SHADOW)
    assert (row.estimate, row.null, row.finding, row.needs, row.counts) == (0.99, 0.95, "worse-within-margin", "above 95%", "pairs")
    assert row.margin == pytest.approx(0.05)
    assert (
        first("agreement:guardrail:limit=95%", counts("b", "agreement", {"equal": 800, "different": 200}), of=SHADOW).finding
        == "worse"
    )


def test_similarity_has_a_limit_from_below_on_its_mean() -> None:
    alike = [Sum(1, "b", "similarity", "", n=1_000, s1=985.5, s2=980.0)]
    row = first("similarity:guardrail:limit=95%", alike, of=SHADOW)
    expected = coin.compare(985.5, 1_000, null=0.95, alpha=0.05, kappa=limit_concentration(0.05))
    assert (row.estimate, row.counts, row.needs, row.finding) == (0.9855, "pairs", "above 95%", "worse-within-margin")
    assert (row.baseline, row.candidate) == (None, 0.9855)
    assert (row.lower, row.upper) == (expected.lower, expected.upper)
    unlike = [Sum(1, "b", "similarity", "", n=1_000, s1=800.0, s2=700.0)]
    assert first("similarity:guardrail:limit=95%", unlike, of=SHADOW).finding == "worse"


def test_slow_answers_are_counted_above_the_edge_of_their_bucket() -> None:
    edge = slow_edge(250)
    assert 250 <= edge <= 250 * 1.0203
    below, above = bucket(int(edge * 1000)), bucket(int(edge * 1000) + 1)
    sums = [*counts("a", "latency", {below: 95_000}), *counts("b", "latency", {below: 4_000, above: 990, "zero": 10})]
    row = first("slow_rate:guardrail:margin=1pt,slower=250ms", sums)
    assert (row.baseline, row.candidate, row.n) == (0.0, 990 / 5_000, 100_000)
    assert row.title.startswith("answers slower than 25")


def test_late_answers_are_those_with_the_outcome_timeout() -> None:
    sums = [*counts("a", "requests", {"ok": 94_000, "timeout": 1_000}), *counts("b", "requests", {"ok": 4_950, "timeout": 50})]
    row = first("timeout_rate:guardrail:margin=0.5pt", sums)
    assert (row.baseline, row.candidate) == (1_000 / 95_000, 0.01)


def test_a_flag_of_the_routes_own_is_a_share() -> None:
    sums = [
        rate("a", "field:flagged", 95_000, 950),
        rate("b", "field:flagged", 5_000, 50),
        *counts("b", "field:flagged", {"missing": 9}),
    ]
    assert first("flagged:guardrail:margin=0.5pt", sums).n == 100_000
    assert first("flagged:guardrail:margin=1pt", pairs(5, 5, 990, metric="field:flagged"), of=SHADOW).n == 1_000


@pytest.mark.parametrize(
    ("gate", "metric"), [("log_loss", "log_loss"), ("reward", "reward"), ("prediction", "number"), ("score", "field:score")]
)
def test_means_of_split_traffic_are_compared_as_their_difference(gate: str, metric: str) -> None:
    a, b = normal(2_000, 10.0, seed=1), normal(2_000, 10.1, seed=2)
    role = "equivalence" if gate == "prediction" else "guardrail"
    pivots = {metric: 10.0} if metric != "log_loss" else {}
    pivot = pivots.get(metric, 0.0)
    sums = [numbers("a", metric, a, pivot=pivot), numbers("b", metric, b, pivot=pivot)]
    row = first(f"{gate}:{role}:margin=0.3,design=split", sums, of=HALF, pivots=pivots)
    expected = difference.compare_means([MeanStage(moments(a), moments(b))], tau=0.3, alpha=ALPHA)
    better = gate in ("reward", "score")
    safe, shown = (expected.lower, row.lower) if better else (expected.upper, row.upper)
    assert shown == pytest.approx(safe, rel=1e-9)
    assert (row.unit, row.margin_unit, row.n) == ("value", "value", 4_000)


def test_a_relative_margin_on_means_is_a_linear_contrast() -> None:
    a, b = normal(4_000, 10.0, seed=3), normal(4_000, 10.0, seed=4)
    sums = [numbers("a", "log_loss", a), numbers("b", "log_loss", b)]
    row = first("log_loss:guardrail:margin=5%,design=split", sums, of=HALF)
    stretched = [MeanStage(moments([1.05 * x for x in a]), moments(b))]
    tau = math.sqrt(merge(moments(a), moments(b)).variance or 0) / math.sqrt(1000)
    expected = difference.compare_means(
        stretched, tau=tau * math.sqrt(2 * math.log(20) + math.log1p(2 * math.log(20))), alpha=ALPHA
    )
    assert row.finding == "not-worse"
    assert row.upper == pytest.approx(0.05 + expected.upper / moments(a).mean, rel=1e-9)
    assert row.estimate == pytest.approx(moments(b).mean / moments(a).mean - 1, rel=1e-9)


def test_means_of_pairs_are_compared_pair_by_pair() -> None:
    gaps = normal(400, 0.0, seed=5)
    row = first("log_loss:guardrail:margin=0.3", [numbers("b", "pair_log_loss", gaps)], of=SHADOW)
    expected = difference.compare_paired(moments(gaps), tau=0.3, alpha=ALPHA)
    assert row.method == "normal-mixture"
    assert row.upper == pytest.approx(expected.upper)
    relative = first(
        "log_loss:guardrail:margin=10%",
        [numbers("b", "pair_log_loss", gaps), numbers("a", "log_loss", normal(400, 10, seed=6))],
        of=SHADOW,
    )
    assert relative.margin_unit == "relative"
    assert relative.harm_upper is not None
    assert 0 < relative.harm_upper < 0.1


def test_a_success_metric_is_better_when_its_harm_is_surely_below_zero_and_is_tuned_for_its_effect() -> None:
    sums = [rate("a", "accuracy", 10_000, 8_000), rate("b", "accuracy", 10_000, 8_600)]
    row = first("accuracy:success:mde=5pt,design=split", sums, of=HALF)
    expected = difference.compare_proportions(
        [ProportionStage(Proportion(10_000, 8_000), Proportion(10_000, 8_600))], tau=0.05, alpha=ALPHA
    )
    assert (row.finding, row.lower) == ("better", expected.lower)


def test_several_success_metrics_share_the_level_of_promoting() -> None:
    of = gated(HALF, "accuracy:success:design=split", "reward:success", "error_rate:guardrail:margin=1pt")
    assert [row.alpha_promote for row in rows_of(of, [])[:3]] == [ALPHA / 2, ALPHA / 2, ALPHA]


def test_zero_tolerance_rolls_back_on_any_proven_harm_and_promotes_within_the_margin() -> None:
    sums = [*served("a", 500_000, 5_000), *served("b", 500_000, 6_000)]
    assert first("error_rate:guardrail:margin=0.5pt", sums, of=HALF).finding == "worse-within-margin"
    assert first("error_rate:guardrail:margin=0.5pt,zero-tolerance", sums, of=HALF).finding == "worse"


def test_an_equivalence_is_inside_on_both_sides_and_never_rolls_back() -> None:
    a, b = normal(4_000, 10.0, seed=7), normal(4_000, 10.0, seed=8)
    sums = [numbers("a", "number", a), numbers("b", "number", b)]
    of = gated(HALF, "prediction:equivalence:margin=0.3")
    assert rows_of(of, sums)[0].finding == "equivalent"
    assert judged(of, [*served("a", 4_000, 40), *served("b", 4_000, 40), *sums]).word == "promote"
    away = [numbers("a", "number", a), numbers("b", "number", [x + 9 for x in b])]
    assert rows_of(of, away)[0].finding == "different"
    assert judged(of, [*served("a", 4_000, 40), *served("b", 4_000, 40), *away]).word == "continue"


def test_info_is_shown_and_decides_nothing() -> None:
    of = gated(HALF, "error_rate:guardrail:margin=1pt", "accuracy:info")
    sums = [
        *served("a", 50_000, 500),
        *served("b", 50_000, 500),
        rate("a", "accuracy", 50_000, 49_000),
        rate("b", "accuracy", 50_000, 1_000),
    ]
    found = rows_of(of, sums)
    assert [(row.role, row.finding) for row in found[:2]] == [("guardrail", "not-worse"), ("info", "shown")]
    assert judged(of, sums).word == "promote"


def test_weights_share_out_the_level_of_rolling_back() -> None:
    of = gated(FIVE_PERCENT, "error_rate:guardrail:margin=1pt,weight=2", "timeout_rate:guardrail:margin=1pt")
    assert [row.alpha for row in rows_of(of, [])] == pytest.approx([ALPHA / 2, ALPHA / 4, ALPHA / 4])
