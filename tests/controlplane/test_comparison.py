"""From rollups to comparisons, with every number worked out a second time by hand."""

import json
import math
import random
from itertools import pairwise

import msgspec
import pytest

from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Evidence, Row
from modelctl.controlplane.judgement.failures import EFFECT, alphas
from modelctl.controlplane.judgement.funnel import funnel
from modelctl.controlplane.judgement.sums import Sums
from modelctl.controlplane.judgement.trust import compare_split
from modelctl.controlplane.report.content import summarise
from modelctl.controlplane.report.shapes import confusion, latencies, numbers, outcomes
from modelctl.rollout import Rollout, Stage
from modelctl.statistics.tuning import ALPHA
from modelctl.store.summing import Sum
from tests.controlplane.scene import AT, counts, rollout, served, stages_of

GAMMA = 1.01 / 0.99
NOW = AT // 1000 + 60_000
CANARY = rollout("canary", {"percent_bp": 1000, "steps_bp": [5000]})
SHADOW = rollout("shadow")


def evidence(of: Rollout, sums: list[Sum], *, pivots: dict[str, float] | None = None) -> Evidence:
    return Evidence(rollout=of, stages=stages_of(of), sums=Sums(sums), pivots=pivots or {})


def row(of: Evidence, metric: str, *, candidate: str = "b") -> Row:
    return next(one.row for one in compare(of, at=NOW) if (one.row.metric, one.row.candidate_name) == (metric, candidate))


def pairs(candidate_only: int, baseline_only: int, same: int) -> list[Sum]:
    return counts("b", "pair_error", {"-": candidate_only, "+": baseline_only, "0": same})


def wealth(wins: int, ties: int, losses: int, *, theta: float) -> float:
    """ln of the mean of 40 bets on wins, as in section 3.4 of the design."""
    bets = [0.001 * (0.999 / 0.001) ** (place / 39) / (1 + theta) for place in range(40)]
    logs = [
        wins * math.log(1 + bet * (1 - theta)) + ties * math.log(1 - bet * theta) + losses * math.log(1 - bet * (1 + theta))
        for bet in bets
    ]
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs) / 40)


def test_a_missing_candidate_answer_counts_as_a_failure() -> None:
    found = row(evidence(SHADOW, pairs(30, 0, 970)), "failures_paired")
    assert (found.estimate, found.baseline, found.candidate, found.n) == (0.03, 0.0, 0.03, 1000)
    assert found.finding == "worse"


def test_the_interval_of_paired_failures_ends_where_the_bets_have_won_enough() -> None:
    found = row(evidence(SHADOW, pairs(30, 10, 960)), "failures_paired")
    assert found.estimate == pytest.approx(0.02)
    assert found.lower is not None
    assert found.upper is not None
    assert wealth(30, 960, 10, theta=found.lower) == pytest.approx(math.log(2 / ALPHA), abs=1e-6)
    assert wealth(10, 960, 30, theta=-found.upper) == pytest.approx(math.log(2 / ALPHA), abs=1e-6)


def test_failures_of_both_on_the_same_request_are_no_harm() -> None:
    assert row(evidence(SHADOW, pairs(0, 0, 5000)), "failures_paired").finding == "open"


def test_a_canary_compares_rates_stage_by_stage_and_not_the_pooled_rows() -> None:
    # The base rate rose from 1% to 10% between the stages; both arms are the same in each.
    sums = [*served("a", 9000, 90), *served("b", 1000, 10), *served("a", 5000, 500, stage=2), *served("b", 5000, 500, stage=2)]
    found = evidence(CANARY, sums)
    ratio, rate = row(found, "failure_ratio"), row(found, "failure_rate")
    assert ratio.estimate == pytest.approx(1.0)
    assert rate.estimate == pytest.approx(0.0, abs=1e-12)
    assert (ratio.finding, rate.finding) == ("open", "open")
    assert (ratio.baseline, ratio.candidate) == pytest.approx((590 / 14_000, 510 / 6_000))


def test_the_failure_rates_difference_is_stratified_with_the_larger_standard_error() -> None:
    sums = [*served("a", 9000, 90), *served("b", 1000, 30), *served("a", 5000, 50, stage=2), *served("b", 5000, 150, stage=2)]
    found = row(evidence(CANARY, sums), "failure_rate")
    weights, gaps, variances = [], [], []
    for n_a, k_a, n_b, k_b in ((9000, 90, 1000, 30), (5000, 50, 5000, 150)):
        p_a, p_b, p = k_a / n_a, k_b / n_b, (k_a + k_b) / (n_a + n_b)
        weights.append(n_a * n_b / (n_a + n_b))
        gaps.append(p_b - p_a)
        variances.append(max(p_a * (1 - p_a) / n_a + p_b * (1 - p_b) / n_b, p * (1 - p) * (1 / n_a + 1 / n_b)))
    estimate = sum(w * g for w, g in zip(weights, gaps, strict=True)) / sum(weights)
    se2 = sum(w * w * v for w, v in zip(weights, variances, strict=True)) / sum(weights) ** 2
    alpha = ALPHA / 2
    half = math.sqrt(se2 * (1 + se2 / EFFECT**2) * (math.log(1 + EFFECT**2 / se2) - 2 * math.log(alpha)))
    assert (found.estimate, found.alpha) == pytest.approx((estimate, alpha))
    assert (found.lower, found.upper) == pytest.approx((estimate - half, estimate + half))
    assert found.finding == "worse"


def test_the_ratio_is_of_failures_given_the_shares_of_the_stage() -> None:
    # Without drift the maximum of the likelihood in one stage is the odds of the events over the odds of the shares.
    found = row(evidence(CANARY, [*served("a", 9000, 90), *served("b", 1000, 40)]), "failure_ratio")
    assert found.estimate == pytest.approx((40 / 90) / (1000 / 9000))
    assert found.n == 130


def test_a_rate_without_enough_expected_events_has_no_interval_yet() -> None:
    found = row(evidence(CANARY, [*served("a", 900, 2), *served("b", 100, 1)]), "failure_rate")
    assert (found.state, found.finding, found.lower, found.upper) == ("gate", "no-data", None, None)
    assert "10 are needed" in found.reason


def test_the_error_level_is_divided_by_what_the_ladder_can_compare() -> None:
    assert alphas(SHADOW) == {("b", "failures_paired"): ALPHA}
    assert alphas(CANARY) == {("b", "failure_ratio"): ALPHA / 2, ("b", "failure_rate"): ALPHA / 2}
    both = rollout("canary", {"percent_bp": 500, "shadow_bp": 2000})
    assert list(alphas(both).values()) == pytest.approx([ALPHA / 3] * 3)
    assert len(alphas(rollout("shadow", candidates=("b", "c")))) == 2
    assert alphas(rollout("blue-green")) == {}


def test_each_candidate_of_an_ab_test_is_compared_with_the_baseline() -> None:
    three = rollout("ab", {"shares_bp": {"a": 5000, "b": 3000, "c": 2000}}, candidates=("b", "c"))
    found = evidence(three, [*served("a", 5000, 50), *served("b", 3000, 30), *served("c", 2000, 60)])
    assert row(found, "failure_ratio", candidate="b").estimate == pytest.approx(1.0)
    assert row(found, "failure_ratio", candidate="c").estimate == pytest.approx(3.0)


def shifted(values: list[float], *, pivot: float) -> tuple[int, int, float, float]:
    return len(values), 0, sum(x - pivot for x in values), sum((x - pivot) ** 2 for x in values)


def test_numbers_of_the_same_requests_are_compared_pair_by_pair() -> None:
    chance = random.Random(1)
    a = [1000 + chance.gauss(0, 5) for _ in range(400)]
    b = [x + 0.3 + chance.gauss(0, 1) for x in a]
    gaps = [y - x for x, y in zip(a, b, strict=True)]
    sums = [
        Sum(1, "b", "difference", "", *shifted(gaps, pivot=0)),
        Sum(1, "b", "pair_number", "baseline", *shifted(a, pivot=1000)),
        Sum(1, "b", "pair_number", "candidate", *shifted(b, pivot=1000)),
    ]
    found = evidence(SHADOW, sums, pivots={"pair_number": 1000.0})
    mean = sum(gaps) / 400
    sd = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / 399)
    line = row(found, "number_paired")
    assert line.estimate == pytest.approx(mean)
    assert (line.baseline, line.candidate) == pytest.approx((sum(a) / 400, sum(b) / 400))
    se2, level = sd**2 / 400, 2 * math.log(1 / ALPHA)
    tau2 = sd**2 / 1000 * (level + math.log(1 + level))
    half = math.sqrt(se2 * (1 + se2 / tau2) * (math.log(1 + tau2 / se2) + level))
    assert line.lower == pytest.approx(mean - half)
    shape = numbers(found, "b")
    assert shape is not None
    assert (shape.bias, shape.sd) == pytest.approx((mean, sd))
    assert (shape.lower_limit, shape.upper_limit) == pytest.approx((mean - 1.96 * sd, mean + 1.96 * sd))


def test_numbers_of_different_requests_are_compared_by_their_means() -> None:
    chance = random.Random(2)
    a, b = [50 + chance.gauss(0, 2) for _ in range(900)], [51 + chance.gauss(0, 2) for _ in range(100)]
    sums = [Sum(1, "a", "number", "", *shifted(a, pivot=50)), Sum(1, "b", "number", "", *shifted(b, pivot=50))]
    found = row(evidence(CANARY, sums, pivots={"number": 50.0}), "number")
    assert found.estimate == pytest.approx(sum(b) / 100 - sum(a) / 900)
    assert (found.role, found.finding, found.n) == ("info", "shown", 1000)


def test_agreement_has_an_interval_and_decides_nothing() -> None:
    found = row(evidence(SHADOW, counts("b", "agreement", {"equal": 950, "different": 50})), "agreement")
    assert found.estimate == 0.95
    assert found.lower is not None
    assert found.upper is not None
    assert 0.91 < found.lower < 0.95 < found.upper < 0.98
    assert (found.role, found.null) == ("info", None)


def cells(table: dict[tuple[str, str], int]) -> list[Sum]:
    return counts("b", "confusion", {json.dumps(list(key), separators=(",", ":")): n for key, n in table.items()})


def test_labels_make_a_confusion_matrix_with_kappa() -> None:
    found = confusion(Sums(cells({("no", "no"): 60, ("no", "yes"): 10, ("yes", "no"): 5, ("yes", "yes"): 25})), "b")
    assert found is not None
    assert (found.labels, found.counts, found.n) == (("no", "yes"), ((60, 10), (5, 25)), 100)
    chance = 0.7 * 0.65 + 0.3 * 0.35
    assert found.equal == pytest.approx(0.85)
    assert found.kappa == pytest.approx((0.85 - chance) / (1 - chance))
    assert [(move.baseline, move.candidate, move.n) for move in found.moves] == [("no", "yes", 10), ("yes", "no", 5)]


def test_rare_labels_are_added_up_in_the_matrix_and_counted_in_kappa() -> None:
    table = {(f"l{number:02}", f"l{number:02}"): 100 - number for number in range(25)}
    found = confusion(Sums(cells(table)), "b")
    assert found is not None
    assert (len(found.labels), found.labels[-1]) == (21, "all others")
    assert sum(map(sum, found.counts)) == found.n == sum(table.values())
    assert found.kappa == pytest.approx(1.0)


def test_instances_beyond_the_recorders_limit_of_labels_are_not_called_equal() -> None:
    found = confusion(Sums(cells({("no", "no"): 1, ("yes", "no"): 1, ("…", "…"): 98})), "b")
    assert found is not None
    assert (found.n, found.equal, found.uncounted) == (2, 0.5, 98)


def test_latency_quantiles_are_within_one_percent_of_the_values() -> None:
    values = sorted(round(random.Random(seed).lognormvariate(9, 0.5)) for seed in range(2000))
    buckets: dict[str, int] = {}
    for value in values:
        key = str(math.ceil(math.log(value) / math.log(GAMMA)))
        buckets[key] = buckets.get(key, 0) + 1
    (found,) = latencies(evidence(CANARY, counts("a", "latency", buckets)))
    assert (found.arm, found.shown, found.n) == ("a", False, 2000)
    for quantile in found.quantiles:
        exact = values[math.floor(quantile.q * 1999)] / 1000
        assert quantile.value == pytest.approx(exact, rel=0.01)
        assert quantile.lower is not None
        assert quantile.lower <= exact
        assert quantile.upper is None or quantile.upper >= exact
    assert all(low.value <= high.value for low, high in pairwise(found.quantiles) if low.value and high.value)


def test_a_p99_of_few_answers_is_marked_and_zero_microseconds_are_counted() -> None:
    (found,) = latencies(evidence(CANARY, counts("a", "latency", {"zero": 3, "450": 7})))
    assert found.n == 10
    assert [quantile.enough for quantile in found.quantiles] == [True, False, False, False]


def test_the_latency_of_shown_requests_is_the_candidates_own() -> None:
    found = latencies(evidence(SHADOW, counts("b", "pair_latency", {"baseline:400": 9, "candidate:450": 5, "candidate:451": 4})))
    assert [(one.arm, one.shown, one.n) for one in found] == [("b", True, 9)]


def test_outcomes_are_counted_by_arm() -> None:
    a, b = outcomes(evidence(CANARY, [*served("a", 90, 3), *served("b", 10, 2)]))
    assert (a.arm, a.n, a.counts, a.failures) == ("a", 90, {"ok": 87, "backend_error": 3}, 3)
    assert a.failure_rate == pytest.approx(1 / 30)
    assert (b.failures, b.failure_rate) == (2, 0.2)


def split_log_e(seen: list[int], shares: list[float]) -> float:
    """The Dirichlet-multinomial mixture of section 3.13, with kappa tuned for 10,000 units at alpha 0.05."""
    twice = 2 * math.log(20)
    kappa = 10_000 / (twice + math.log(1 + twice)) - 1
    parts = [math.lgamma(kappa * p + n) - math.lgamma(kappa * p) - n * math.log(p) for n, p in zip(seen, shares, strict=True)]
    return math.lgamma(kappa) - math.lgamma(kappa + sum(seen)) + sum(parts)


def test_the_split_is_checked_stage_by_stage_against_its_own_shares() -> None:
    sums = [*served("a", 9100, 0), *served("b", 900, 0), *served("a", 2600, 0, stage=2), *served("b", 2400, 0, stage=2)]
    found = compare_split(evidence(CANARY, sums))
    expected = split_log_e([9100, 900], [0.9, 0.1]) + split_log_e([2600, 2400], [0.5, 0.5])
    assert found.log_e == pytest.approx(expected)
    assert found.observed == (11_700, 3_300)
    assert found.expected == pytest.approx((11_500, 3_500))


def test_a_second_copy_for_the_baseline_leaves_the_split_and_every_comparison_as_they_are() -> None:
    sums = [*served("a", 1_000, 10), *pairs(3, 1, 996)]
    noisy, plain = evidence(rollout("shadow", {"noise_bp": 500}), sums), evidence(SHADOW, sums)
    assert compare_split(noisy) == compare_split(plain)
    assert (compare_split(noisy).observed, compare_split(noisy).expected) == ((1_000, 0), (1_000, 0))
    assert compare(noisy, at=NOW) == compare(plain, at=NOW)


def test_requests_that_the_baseline_answered_for_a_candidate_are_neither_arms_and_leave_the_split_right() -> None:
    apart = [Sum(1, "b", "units", "", 600), *counts("b", "funnel", {"fallback": 600})]
    sums = [*served("a", 9000, 90), *served("b", 400, 200)]
    found, without = evidence(CANARY, [*sums, *apart]), evidence(CANARY, sums)
    assert compare(found, at=NOW) == compare(without, at=NOW)
    assert row(found, "failure_rate").n == 9_400
    assert compare_split(found).observed == (9_000, 1_000)
    assert not compare_split(found).blocked
    assert compare_split(without).blocked  # what a split looks like that lost six of ten requests
    assert (funnel(found.sums, "b").fallback, funnel(without.sums, "b").fallback) == (600, 0)


def test_the_funnel_names_a_reason_for_each_loss() -> None:
    keys = {
        "eligible": 1000,
        "sampled": 500,
        "sent": 480,
        "skipped:inflight": 14,
        "skipped:too-large": 5,
        "skipped:shed": 1,
        "duplicate": 7,
    }
    found = funnel(Sums(counts("b", "funnel", {**keys, "answered": 470, "parsed": 460, "paired": 480})), "b")
    assert (found.eligible, found.sampled, found.sent, found.answered, found.parsed, found.paired) == (
        1000,
        500,
        480,
        470,
        460,
        480,
    )
    assert found.skipped == {"inflight": 14, "too-large": 5, "shed": 1}
    assert [(loss.stage, loss.n) for loss in found.losses] == [
        ("sampled", 500),
        ("sent", 14),
        ("sent", 1),
        ("sent", 5),
        ("answered", 10),
        ("parsed", 10),
        ("compared", 7),
    ]
    assert found.losses[2].reason == "the router was short of memory or time, and copies go first"


def word(of: Evidence) -> str:
    return summarise(of, at=NOW).verdict.word


def test_without_evidence_the_verdict_is_no_data_and_says_where_it_stopped() -> None:
    assert word(evidence(CANARY, [])) == "no-data"
    stuck = evidence(SHADOW, counts("b", "funnel", {"eligible": 9, "sampled": 9, "skipped:inflight": 9}))
    assert summarise(stuck, at=NOW).verdict.sentence == "No request was sent to b: 9 inflight."
    silent = evidence(SHADOW, counts("b", "funnel", {"eligible": 9, "sampled": 9, "sent": 9}))
    assert "answered none completely" in summarise(silent, at=NOW).verdict.sentence


def test_proven_harm_asks_for_a_rollback_and_shows_its_arithmetic() -> None:
    found = summarise(evidence(SHADOW, pairs(60, 0, 940)), at=NOW).verdict
    assert (found.word, found.commands) == ("rollback", ("modelctl rollback fraud",))
    assert "only it was worse on 6% of the requests, only the baseline on 0%" in found.sentence


def test_a_rollback_names_one_proof_for_each_candidate() -> None:
    two = rollout("shadow", candidates=("b", "c"))
    harmed = [*pairs(60, 0, 940), *counts("c", "pair_error", {"-": 90, "0": 910})]
    sentence = summarise(evidence(two, harmed), at=NOW).verdict.sentence
    assert sentence.count("b fails more") == sentence.count("c fails more") == 1
    both = rollout("canary", {"percent_bp": 5000, "shadow_bp": 10_000})
    thrice = [*pairs(60, 0, 940), *served("a", 5000, 50), *served("b", 5000, 500)]
    assert summarise(evidence(both, thrice), at=NOW).verdict.sentence.count("b fails") == 1


def test_perfect_data_are_never_promoted_because_no_margins_are_declared() -> None:
    found = summarise(evidence(SHADOW, pairs(0, 500, 99_500)), at=NOW).verdict
    assert found.word == "continue"
    assert "that decision is a person's" in found.margins
    assert "b, failures on the same requests (only this one failed): better" in found.needs[0]


def test_a_crooked_split_is_invalid_and_only_rolling_back_is_offered() -> None:
    found = summarise(evidence(CANARY, [*served("a", 9000, 0), *served("b", 2000, 0)]), at=NOW).verdict
    assert (found.word, found.commands) == ("invalid", ("modelctl rollback fraud",))
    assert found.sentence.startswith("Traffic split 18.2% against 10% wanted for b (2,000 instead of 1,100; E = ")
    assert found.sentence.endswith("Results withheld; safe to roll back, not to promote.")


def test_proven_harm_comes_before_a_crooked_split_because_stopping_is_safe() -> None:
    assert word(evidence(CANARY, [*served("a", 9000, 10), *served("b", 2000, 600)])) == "rollback"


def test_of_sticky_units_it_is_the_units_whose_split_is_checked() -> None:
    sticky = msgspec.structs.replace(CANARY, unit="header:x-user")
    requests = [*served("a", 9000, 0), *served("b", 2000, 0)]
    fair = [Sum(1, "a", "first_unit", "", 900), Sum(1, "b", "first_unit", "", 100)]
    assert word(evidence(sticky, [*requests, *fair])) == "continue"
    crooked = [Sum(1, "a", "first_unit", "", 900), Sum(1, "b", "first_unit", "", 250)]
    assert word(evidence(sticky, [*requests, *crooked])) == "invalid"


def test_a_switch_is_not_a_randomised_comparison() -> None:
    green = rollout("blue-green")
    found = summarise(evidence(green, [*served("a", 900, 0), *served("b", 900, 90, stage=2)]), at=NOW).verdict
    assert found.word == "continue"
    assert "not a randomised comparison" in found.sentence


def test_what_is_open_is_said_with_its_numbers() -> None:
    found = summarise(evidence(CANARY, [*served("a", 9000, 90), *served("b", 1000, 11)]), at=NOW).verdict
    assert found.word == "continue"
    assert len(found.needs) == 2
    assert all("neither harm nor its absence is proven" in need for need in found.needs)


def test_an_ended_rollout_offers_no_commands() -> None:
    ended = Rollout(**{name: getattr(SHADOW, name) for name in SHADOW.__struct_fields__ if name != "phase"}, phase="rolled-back")  # type: ignore[arg-type]
    of = Evidence(rollout=ended, stages=(Stage(id=1, rollout=1, arms=SHADOW.current.arms, opened_at=AT),), sums=Sums([]), pivots={})
    assert summarise(of, at=NOW).verdict.commands == ()
