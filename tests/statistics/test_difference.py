import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import normal_mixture
from modelctl.statistics.comparison import State
from modelctl.statistics.difference import (
    MeanStage,
    Proportion,
    ProportionStage,
    compare_means,
    compare_paired,
    compare_proportions,
)
from modelctl.statistics.moments import Moments

PROPORTIONS = st.integers(0, 10_000).flatmap(lambda n: st.builds(Proportion, st.just(n), st.integers(0, n)))
PROPORTION_STAGES = st.lists(st.builds(ProportionStage, PROPORTIONS, PROPORTIONS), max_size=4)
MOMENTS = st.builds(Moments, st.integers(2, 5000), st.floats(-100, 100), st.floats(0.1, 1e5))
MEAN_STAGES = st.lists(st.builds(MeanStage, MOMENTS, MOMENTS), min_size=1, max_size=4)


def stage(baseline: tuple[int, int], candidate: tuple[int, int]) -> ProportionStage:
    """From units and events of each arm."""
    return ProportionStage(Proportion(*baseline), Proportion(*candidate))


@given(PROPORTION_STAGES)
def test_any_counts_give_an_interval_or_a_state_with_a_reason(stages: list[ProportionStage]) -> None:
    found = compare_proportions(stages, tau=0.01, alpha=0.05)
    assert found.usable != bool(found.reason)
    assert found.lower <= found.upper
    assert 0 <= found.p <= 1
    if not found.usable:
        assert (found.lower, found.upper, found.log_e) == (-math.inf, math.inf, 0.0)


@given(PROPORTION_STAGES)
def test_swapping_the_arms_negates_a_difference_of_proportions(stages: list[ProportionStage]) -> None:
    there = compare_proportions(stages, tau=0.01, alpha=0.05)
    back = compare_proportions([ProportionStage(one.candidate, one.baseline) for one in stages], tau=0.01, alpha=0.05)
    assert (there.state, there.n) == (back.state, back.n)
    assert there.lower == pytest.approx(-back.upper, rel=1e-9, abs=1e-12)
    assert there.log_e == pytest.approx(back.log_e, rel=1e-9, abs=1e-9)


@given(MEAN_STAGES)
def test_swapping_the_arms_negates_a_difference_of_means(stages: list[MeanStage]) -> None:
    there = compare_means(stages, tau=1.0, alpha=0.05)
    back = compare_means([MeanStage(one.candidate, one.baseline) for one in stages], tau=1.0, alpha=0.05)
    assert there.state == back.state
    assert there.lower == pytest.approx(-back.upper, rel=1e-9, abs=1e-9)


@given(MEAN_STAGES, st.floats(1e-6, 1e6))
def test_the_unit_of_a_metric_leaves_evidence_and_state_unchanged(stages: list[MeanStage], unit: float) -> None:
    def scaled(one: Moments) -> Moments:
        return Moments(one.n, unit * one.mean, unit * unit * one.m2)

    plain = compare_means(stages, tau=1.0, alpha=0.05)
    other = compare_means([MeanStage(scaled(one.baseline), scaled(one.candidate)) for one in stages], tau=unit, alpha=0.05)
    assert plain.state == other.state
    assert other.log_e == pytest.approx(plain.log_e, rel=1e-6, abs=1e-6)
    assert other.upper == pytest.approx(unit * plain.upper, rel=1e-6, abs=1e-9 * unit)


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
def test_a_common_offset_leaves_a_difference_of_means_unchanged(offset: float) -> None:
    def at(base: float) -> float:
        stages = [MeanStage(Moments(500, base + 1, 600.0), Moments(400, base + 3, 700.0))]
        return compare_means(stages, tau=0.1, alpha=0.05).lower

    assert at(offset) == pytest.approx(at(0.0), rel=1e-3)


@given(st.lists(st.builds(ProportionStage, PROPORTIONS, PROPORTIONS), min_size=2, max_size=4))
def test_the_order_of_stages_does_not_matter(stages: list[ProportionStage]) -> None:
    there, back = (compare_proportions(order, tau=0.01, alpha=0.05) for order in (stages, stages[::-1]))
    assert there.state == back.state
    assert there.upper == pytest.approx(back.upper, rel=1e-9)


def test_a_stage_with_one_arm_only_says_nothing() -> None:
    both = [stage((9500, 95), (500, 12))]
    assert compare_proportions([*both, stage((4000, 400), (0, 0))], tau=0.01, alpha=0.05) == compare_proportions(
        both, tau=0.01, alpha=0.05
    )


def test_a_ramp_while_the_base_rate_falls_is_not_taken_for_an_improvement() -> None:
    ramp = [
        stage((39600, 158), (400, 2)),
        stage((38000, 760), (2000, 40)),
        stage((32000, 320), (8000, 80)),
        stage((20000, 40), (20000, 40)),
    ]
    stratified = compare_proportions(ramp, tau=0.001, alpha=0.05)
    totals = compare_proportions([stage((129600, 1278), (30400, 162))], tau=0.001, alpha=0.05)
    assert stratified.lower < 0 < stratified.upper
    assert totals.upper < 0


def test_the_larger_of_the_two_standard_errors_is_used() -> None:
    few_events_in_the_small_arm = compare_proportions([stage((95000, 2850), (5000, 40))], tau=0.01, alpha=0.05)
    unpooled = math.sqrt(0.03 * 0.97 / 95000 + 0.008 * 0.992 / 5000)
    assert (few_events_in_the_small_arm.upper - few_events_in_the_small_arm.lower) / 2 > 3.0 * unpooled * 1.5


def test_the_larger_error_is_used_for_means_whichever_arm_varies_more() -> None:
    for quiet, noisy in ((9_500, 500), (500, 9_500)):
        m2_a, m2_b = quiet - 1.0, 4.0 * (noisy - 1)
        found = compare_means([MeanStage(Moments(quiet, 1.0, m2_a), Moments(noisy, 1.0, m2_b))], tau=0.1, alpha=0.05)
        unpooled = 1 / quiet + 4 / noisy
        pooled = (m2_a + m2_b) / 9_999 * (1 / quiet + 1 / noisy)
        half = float(normal_mixture.half_width(math.sqrt(max(unpooled, pooled)), tau=0.1, alpha=0.05))
        assert (found.upper - found.lower) / 2 == pytest.approx(half, rel=1e-9)


def test_stages_weigh_by_the_overlap_of_their_arms() -> None:
    small, large = stage((900, 90), (100, 20)), stage((4_000, 400), (4_000, 800))
    found = compare_proportions([small, stage((9_000, 900), (1_000, 300)), large], tau=0.01, alpha=0.05)
    assert found.estimate == pytest.approx((90 * 0.1 + 900 * 0.2 + 2_000 * 0.1) / (90 + 900 + 2_000), rel=1e-12)


def test_no_verdict_before_ten_expected_events_in_the_smaller_arm() -> None:
    early, late = (compare_proportions([stage((n * 19, n // 5), (n, 0))], tau=0.01, alpha=0.05) for n in (900, 1100))
    assert early.state is State.GATE
    assert early.reason == "9 expected events in the smaller arm, 10 are needed"
    assert late.usable


def test_a_candidate_without_a_single_error_can_pass_the_gate() -> None:
    assert compare_proportions([stage((95_000, 950), (5_000, 0))], tau=0.01, alpha=0.05).upper < 0


def test_no_verdict_on_means_before_a_hundred_units_in_the_smaller_arm() -> None:
    early, late = (
        compare_means([MeanStage(Moments(5000, 0.0, 5000.0), Moments(n, 0.1, float(n)))], tau=0.1, alpha=0.05) for n in (99, 100)
    )
    assert (early.state, late.state) == (State.GATE, State.OK)
    assert early.estimate == pytest.approx(0.1)


def test_no_verdict_on_pairs_before_thirty() -> None:
    states = [compare_paired(Moments(n, 0.1, float(n)), tau=0.1, alpha=0.05).state for n in (0, 1, 29, 30)]
    assert states == [State.NO_DATA, State.GATE, State.GATE, State.OK]


def test_data_without_variation_are_degenerate_not_certain() -> None:
    same = Moments(1560, 0.25, 0.0)
    for found in (
        compare_means([MeanStage(same, same)], tau=0.1, alpha=0.05),
        compare_paired(Moments(3120, 0.25, 0.0), tau=0.1, alpha=0.05),
        compare_proportions([stage((1560, 1560), (1560, 1560))], tau=0.1, alpha=0.05),
    ):
        assert found.state is State.DEGENERATE
        assert found.reason == "no variation in 3,120 observations"
        assert (found.lower, found.upper) == (-math.inf, math.inf)


def test_two_different_constants_are_a_difference() -> None:
    found = compare_means([MeanStage(Moments(500, 0.0, 0.0), Moments(500, 1.0, 0.0))], tau=0.1, alpha=0.05)
    assert found.usable
    assert found.lower > 0


def test_an_arm_with_one_unit_still_has_an_error() -> None:
    stages = [
        MeanStage(Moments(200, 0.0, 200.0), Moments(1, 3.0, 0.0)),
        MeanStage(Moments(200, 0.0, 200.0), Moments(200, 0.1, 190.0)),
    ]
    assert compare_means(stages, tau=0.1, alpha=0.05).usable


def test_more_events_than_units_are_refused() -> None:
    with pytest.raises(InvalidInput, match="cannot be"):
        Proportion(3, 4)
