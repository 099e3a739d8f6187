"""The laws that every method obeys, whatever the data. Where each stands (what concerns the controller stands with its tests):

| law | held by |
|---|---|
| 1 the order of rows does not matter | `test_rows_may_come_in_any_order`; histograms and pairs are counts |
| 2 parts merge to the whole | `test_the_parts_of_a_day_give_the_comparison_of_the_day`, test_moments.py |
| 3 swapped arms swap the result | `test_swapped_arms_*`; test_difference, test_arm_given_event, test_grid_betting, test_paired.py |
| 4 the unit of measurement does not matter | `test_the_unit_*`; test_normal_mixture, test_difference.py |
| 5 a common offset does not matter | `test_a_common_offset_*`, test_moments.py |
| 6 pairs that agree are no evidence | `test_pairs_that_agree_*`, test_paired.py |
| 7 log E at an edge is the threshold | test_coin, test_normal_mixture, test_arm_given_event, test_grid_betting.py |
| 8 a stricter interval contains a looser one | `test_a_stricter_level_*`; test_coin, test_grid_betting and others |
| 9 the interval holds the estimate and narrows | `test_more_of_the_same_*` |
| 10 more errors never speak for the candidate | `test_more_errors_of_the_candidate_*`, test_verdict.py |
| 11 nothing to spend, nothing decided; any harm allowed, promoted | `test_with_no_error_level_*`, `test_with_no_limit_to_harm_*` |
| 12 a stage may be split | `test_a_split_stage_*`, test_arm_given_event, test_sample_ratio.py |
| 13 the names of labels do not matter | `test_labels_in_another_order_*`, test_agreement.py |
| 14 no NaN, whatever the counts | test_totality.py |
| 17 JSON field by field | tests/kinds |
| 18 the order of metrics does not matter | test_verdict.py |
| 19 doubled counts double the log-likelihood | test_arm_given_event.py |
"""

import math
from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modelctl.statistics import arm_given_event, coin, difference, drift, grid_betting, moments, quantiles, sample_ratio
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import MeanStage, Proportion, ProportionStage
from modelctl.statistics.moments import Moments
from modelctl.statistics.sample_ratio import ShareStage
from modelctl.statistics.verdict import Criterion, Mode, Role, Sample, Word, criterion, decide

SHARES = (0.05, 0.2, 0.5)


class Row(NamedTuple):
    """One request: its stage, whether the candidate answered, whether it failed, and a number."""

    stage: int
    candidate: bool
    failed: bool
    number: float


ROWS = st.lists(st.builds(Row, st.integers(0, 2), st.booleans(), st.booleans(), st.integers(-1000, 1000).map(float)), max_size=80)
UNITS = st.integers(1, 20_000).flatmap(lambda n: st.builds(Proportion, st.just(n), st.integers(0, n)))
PAIRS = st.tuples(st.integers(0, 300), st.integers(0, 5000), st.integers(0, 300)).filter(lambda counts: sum(counts) > 0)


def compared(rows: list[Row]) -> list[Comparison]:
    """Every method that takes rows, from their sums by stage and arm."""
    groups: dict[tuple[int, bool], list[Row]] = defaultdict(list)
    for row in rows:
        groups[row.stage, row.candidate].append(row)
    arms = [[groups[stage, candidate] for candidate in (False, True)] for stage in range(3)]
    failures = [tuple(Proportion(len(arm), sum(row.failed for row in arm)) for arm in stage) for stage in arms]
    numbers = [tuple(moments.summary([row.number for row in arm]) for arm in stage) for stage in arms]
    events = [EventStage(b.k, a.k + b.k, share) for (a, b), share in zip(failures, SHARES, strict=True)]
    return [
        arm_given_event.compare(events, alpha=0.05),
        difference.compare_proportions([ProportionStage(a, b) for a, b in failures], tau=0.1, alpha=0.05),
        difference.compare_means([MeanStage(a, b) for a, b in numbers], tau=100.0, alpha=0.05),
    ]


@given(ROWS, st.data())
def test_rows_may_come_in_any_order(rows: list[Row], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(rows))
    *counted, mean = compared(rows)
    *counted_again, mean_again = compared(shuffled)
    assert counted == counted_again
    assert (mean.state, mean.n) == (mean_again.state, mean_again.n)
    assert mean_again.estimate == (mean.estimate if mean.estimate is None else pytest.approx(mean.estimate, rel=1e-9, abs=1e-9))
    assert (mean_again.lower, mean_again.upper) == pytest.approx((mean.lower, mean.upper), rel=1e-9, abs=1e-9)


@given(st.lists(st.lists(st.integers(-(10**6), 10**6).map(float), max_size=40), min_size=1, max_size=8))
def test_the_parts_of_a_day_give_the_comparison_of_the_day(parts: list[list[float]]) -> None:
    merged = moments.merge_all(moments.summary(part) for part in parts)
    whole = moments.summary([value for part in parts for value in part])
    one, other = (difference.compare_paired(found, tau=1000.0, alpha=0.05) for found in (merged, whole))
    assert (one.state, one.n) == (other.state, other.n)
    assert (one.lower, one.upper, one.log_e) == pytest.approx((other.lower, other.upper, other.log_e), rel=1e-9, abs=1e-6)


@given(UNITS, UNITS, st.floats(0, 0.2))
def test_swapped_arms_and_a_swapped_direction_give_the_same_criterion(a: Proportion, b: Proportion, margin: float) -> None:
    there = difference.compare_proportions([ProportionStage(a, b)], tau=0.01, alpha=0.05)
    back = difference.compare_proportions([ProportionStage(b, a)], tau=0.01, alpha=0.05)
    worse, better = guard(there, margin=margin), guard(back, margin=margin, higher_is_better=True)
    assert (worse.has_data, worse.finding) == (better.has_data, better.finding)
    assert (worse.lower, worse.upper) == pytest.approx((better.lower, better.upper), rel=1e-12, abs=1e-15)


@given(st.lists(st.integers(-1000, 1000), min_size=30, max_size=60), st.integers(-30, 30), st.floats(0.1, 100))
def test_the_unit_of_paired_differences_changes_neither_evidence_nor_verdict(
    values: list[int], exponent: int, margin: float
) -> None:
    unit = 2.0**exponent
    words = []
    evidence = []
    for scale in (1.0, unit):
        found = difference.compare_paired(moments.summary([scale * value for value in values]), tau=scale * 50, alpha=0.05)
        words.append(decide([guard(found, margin=scale * margin)], Sample(n=5000, min_n=0), mode=Mode.NON_INFERIORITY).word)
        evidence.append((found.log_e, found.lower / scale, found.upper / scale))
    assert words[0] == words[1]
    assert evidence[0] == pytest.approx(evidence[1], rel=1e-9, abs=1e-9)


@given(
    st.lists(st.integers(-1000, 1000), min_size=100, max_size=120),
    st.lists(st.integers(-1000, 1000), min_size=100, max_size=120),
    st.sampled_from([1e6, 1e9, 1e12]),
)
def test_a_common_offset_costs_a_difference_of_means_no_more_than_the_rounding_of_the_means(
    a: list[int], b: list[int], offset: float
) -> None:
    def at(base: float) -> Comparison:
        arms = (moments.summary([base + value for value in arm]) for arm in (a, b))
        return difference.compare_means([MeanStage(*arms)], tau=100.0, alpha=0.05)

    plain, shifted = at(0.0), at(offset)
    assert plain.state == shifted.state
    rounding = 4 * math.ulp(offset + 1000)
    assert (shifted.lower, shifted.upper) == pytest.approx((plain.lower, plain.upper), rel=1e-6, abs=rounding)


@given(PAIRS, st.integers(0, 100_000))
def test_pairs_that_agree_are_no_evidence_against_equality(counts: tuple[int, int, int], agreed: int) -> None:
    few, many = (grid_betting.compare(counts[0], counts[1] + more, n_neg=counts[2], alpha=0.05) for more in (0, agreed))
    assert few.log_e == many.log_e
    assert few.estimate is not None
    assert many.estimate is not None
    assert abs(many.estimate) <= abs(few.estimate)


@given(UNITS, UNITS)
def test_a_stricter_level_gives_a_wider_difference(a: Proportion, b: Proportion) -> None:
    strict, loose = (difference.compare_proportions([ProportionStage(a, b)], tau=0.01, alpha=alpha) for alpha in (0.01, 0.05))
    assert strict.lower <= loose.lower <= loose.upper <= strict.upper


@given(st.dictionaries(st.integers(-50, 400), st.integers(1, 500), min_size=1, max_size=20), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_stricter_level_gives_a_wider_difference_of_quantiles(buckets: dict[int, int], q: float) -> None:
    arms = quantiles.Histogram(buckets), quantiles.Histogram({index + 3: count for index, count in buckets.items()})
    strict, loose = (quantiles.compare(*arms, q=q, alpha=alpha) for alpha in (0.01, 0.05))
    assert loose.estimate is not None
    assert strict.lower <= loose.lower <= loose.estimate <= loose.upper <= strict.upper


GROWING = (1, 2, 3, 5, 10, 100)


@given(st.integers(0, 100), st.integers(100, 1000))
def test_more_of_the_same_flips_narrow_the_interval_of_a_share(k: int, n: int) -> None:
    ends = [coin.interval(times * k, times * n, alpha=0.05) for times in GROWING]
    widths = [upper - lower for lower, upper in ends]
    assert all(wide >= narrow - 1e-12 for wide, narrow in pairwise(widths))
    assert all(lower <= k / n <= upper for lower, upper in ends)


@given(st.integers(1, 500), st.integers(1, 500), st.sampled_from(SHARES))
def test_more_of_the_same_events_narrow_the_interval_of_a_ratio(k_a: int, k_b: int, share: float) -> None:
    assume(k_a + k_b >= 100)
    found = [arm_given_event.compare([EventStage(t * k_b, t * (k_a + k_b), share)], alpha=0.05) for t in GROWING]
    widths = [math.log(one.upper / one.lower) if one.lower else math.inf for one in found]
    assert all(wide >= narrow - 1e-9 for wide, narrow in pairwise(widths))


@given(PAIRS)
def test_more_of_the_same_pairs_narrow_the_interval_of_their_mean(counts: tuple[int, int, int]) -> None:
    assume(sum(counts) >= 100)
    found = [grid_betting.compare(t * counts[0], t * counts[1], n_neg=t * counts[2], alpha=0.05) for t in GROWING]
    assert all(one.upper - one.lower >= other.upper - other.lower - 1e-9 for one, other in pairwise(found))


@given(UNITS, UNITS)
def test_more_of_the_same_units_narrow_the_interval_of_a_difference(a: Proportion, b: Proportion) -> None:
    arms = [(Proportion(t * a.n, t * a.k), Proportion(t * b.n, t * b.k)) for t in GROWING]
    found = [difference.compare_proportions([ProportionStage(*pair)], tau=0.01, alpha=0.05) for pair in arms]
    usable = [one for one in found if one.usable]
    assert all(one.upper - one.lower >= other.upper - other.lower for one, other in pairwise(usable))
    assert all(one.lower <= (one.estimate or 0.0) <= one.upper for one in usable)


def guard(found: Comparison, *, margin: float, higher_is_better: bool = False) -> Criterion:
    return criterion(
        "metric", Role.GUARDRAIL, margin=margin, higher_is_better=higher_is_better, for_rollback=found, for_promote=found
    )


def word(*found: Comparison, margin: float, n: int = 10_000) -> Word:
    return decide([guard(one, margin=margin) for one in found], Sample(n=n, min_n=1000), mode=Mode.NON_INFERIORITY).word


def split_canary(a: Proportion, b: Proportion, *, alpha: float) -> tuple[Comparison, Comparison]:
    """Both methods for the failures of a split."""
    share = b.n / (a.n + b.n)
    events = arm_given_event.compare([EventStage(b.k, a.k + b.k, share)], alpha=alpha)
    return events, difference.compare_proportions([ProportionStage(a, b)], tau=0.01, alpha=alpha)


@given(UNITS, UNITS, st.integers(1, 2000), st.sampled_from([0.0, 0.01, 0.1]))
def test_more_errors_of_the_candidate_never_lead_away_from_a_rollback(
    a: Proportion, b: Proportion, more: int, margin: float
) -> None:
    worse = Proportion(b.n, min(b.n, b.k + more))
    before, after = (split_canary(a, arm, alpha=0.05) for arm in (b, worse))
    for one, other in zip(before, after, strict=True):
        if word(one, margin=margin) is Word.ROLLBACK:
            assert word(other, margin=margin) is Word.ROLLBACK
            assert other.log_e >= one.log_e
        if word(other, margin=margin) is Word.PROMOTE:
            assert word(one, margin=margin) is not Word.ROLLBACK


@given(PAIRS, st.integers(1, 200), st.sampled_from([0.0, 0.01, 0.1]))
def test_more_errors_of_the_candidate_on_pairs_never_lead_away_from_a_rollback(
    counts: tuple[int, int, int], more: int, margin: float
) -> None:
    words = [
        word(grid_betting.compare(counts[0] + lost, counts[1], n_neg=counts[2], alpha=0.05), margin=margin) for lost in (0, more)
    ]
    assert words[0] is not Word.ROLLBACK or words[1] is Word.ROLLBACK
    assert words[1] is not Word.PROMOTE or words[0] is Word.PROMOTE


@given(UNITS, UNITS)
def test_with_no_error_level_to_spend_nothing_is_decided(a: Proportion, b: Proportion) -> None:
    for found in split_canary(a, b, alpha=1e-300):
        assume(abs(found.log_e) < 600)
        assert word(found, margin=0.001) in (Word.CONTINUE, Word.PROMOTE if found.upper < found.null + 0.001 else Word.CONTINUE)
        assert found.lower <= found.null <= found.upper


@given(UNITS, UNITS)
def test_with_no_limit_to_harm_everything_is_promoted_once_the_gates_pass(a: Proportion, b: Proportion) -> None:
    for found in split_canary(a, b, alpha=0.05):
        proven = found.usable and found.upper < math.inf
        assert (word(found, margin=math.inf) is Word.PROMOTE) == proven
        assert word(found, margin=math.inf, n=999) is Word.CONTINUE


@given(st.integers(0, 5000), st.integers(0, 5000), st.sampled_from(SHARES), st.data())
def test_a_split_stage_has_the_evidence_of_its_parts(first: int, second: int, share: float, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, first)), data.draw(st.integers(0, second))
    parts = [ShareStage(cut, (1 - share, share)), ShareStage((first - cut[0], second - cut[1]), (1 - share, share))]
    found = sample_ratio.compare(parts)
    assert found.log_e == math.fsum(sample_ratio.compare([part]).log_e for part in parts)
    assert found.chi_square == pytest.approx(sample_ratio.compare([ShareStage((first, second), (1 - share, share))]).chi_square)


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=8), st.data())
def test_labels_in_another_order_are_as_far_apart(counts: list[tuple[int, int]], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(counts))
    (a, b), (c, d) = (tuple(list(side) for side in zip(*one, strict=True)) for one in (counts, shuffled))
    for distance in (drift.psi, drift.jensen_shannon, drift.total_variation, drift.expected_psi):
        there, back = distance(a, b), distance(c, d)
        assert back == (there if there is None else pytest.approx(there, rel=1e-9, abs=1e-12))
    one, other = drift.association(a, b), drift.association(c, d)
    assert (other.chi2, other.g, other.cramers_v) == pytest.approx((one.chi2, one.g, one.cramers_v), rel=1e-9, abs=1e-9)
    assert one.df == other.df


def test_moments_that_are_swapped_flip_the_harm() -> None:
    found = difference.compare_means([MeanStage(Moments(500, 1.0, 500.0), Moments(500, 1.4, 500.0))], tau=0.1, alpha=0.05)
    assert found.harm(higher_is_better=True) == (-found.upper, -found.lower)
