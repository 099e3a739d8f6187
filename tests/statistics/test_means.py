import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_ind, ttest_rel

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.fixed_horizon import FixedHorizon, equivalence
from modelctl.statistics.means import contrast, fieller, paired_t, uplift, welch
from modelctl.statistics.moments import Moments, summary

VALUES = st.lists(st.integers(-1000, 1000).map(lambda eighths: eighths / 8), max_size=30)
SOME = st.lists(st.integers(-1000, 1000).map(lambda eighths: eighths / 8), min_size=2, max_size=30)
MOMENTS = st.builds(
    Moments,
    st.integers(2, 10**9),
    st.floats(-1e150, 1e150, allow_subnormal=False),
    st.floats(0, 1e150, allow_subnormal=False),
)


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(SOME, SOME)
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    found = welch(summary(a), summary(b))
    assume(found.state is State.OK)
    wanted = ttest_ind(b, a, equal_var=False)
    interval = wanted.confidence_interval()
    assert found.statistic == pytest.approx(float(wanted.statistic), rel=1e-7, abs=1e-9)
    assert found.p == pytest.approx(float(wanted.pvalue), rel=1e-7)
    assert (found.lower, found.upper) == pytest.approx((float(interval.low), float(interval.high)), rel=1e-7, abs=1e-9)


@pytest.mark.filterwarnings("ignore:Precision loss")
@given(SOME, SOME)
def test_the_paired_t_is_scipys(a: list[float], b: list[float]) -> None:
    pairs = list(zip(a, b, strict=False))
    found = paired_t(summary([y - x for x, y in pairs]))
    assume(found.state is State.OK)
    wanted = ttest_rel([y for _, y in pairs], [x for x, _ in pairs])
    assert found.p == pytest.approx(float(wanted.pvalue), rel=1e-6)


@given(VALUES, VALUES)
def test_swapping_the_arms_negates_the_difference(a: list[float], b: list[float]) -> None:
    there, back = welch(summary(a), summary(b)), welch(summary(b), summary(a))
    assert (there.state, there.p, there.se) == (back.state, back.p, back.se)
    assert there.estimate is None or there.estimate == -(back.estimate or 0.0)
    assert (there.lower, there.upper) == (-back.upper, -back.lower)


@given(SOME, SOME, st.sampled_from([2.0**-40, 2.0**-300, 2.0**200]))
def test_another_unit_scales_the_estimate_and_leaves_the_p(a: list[float], b: list[float], unit: float) -> None:
    here, there = (welch(summary([x * by for x in a]), summary([x * by for x in b])) for by in (1.0, unit))
    assert here.state is there.state
    assert there.estimate == pytest.approx((here.estimate or 0.0) * unit, rel=1e-9)
    if here.state is State.OK:
        assert there.p == pytest.approx(here.p, rel=1e-9)
        assert (there.lower, there.upper) == pytest.approx((here.lower * unit, here.upper * unit), rel=1e-9)


@given(SOME, SOME, st.sampled_from([2.0**20, 2.0**30, 2.0**40]))
def test_an_offset_of_both_arms_leaves_their_difference(a: list[float], b: list[float], offset: float) -> None:
    a, b = ([round(x) + 0.0 for x in arm] for arm in (a, b))
    here, there = (welch(summary([x + by for x in a]), summary([x + by for x in b])) for by in (0.0, offset))
    assume(here.state is State.OK)
    assert there.estimate == pytest.approx(here.estimate, rel=1e-3, abs=1e-3)
    assert there.se == pytest.approx(here.se, rel=1e-9)


@given(SOME, SOME, st.randoms(use_true_random=False))
def test_the_order_of_values_does_not_matter(a: list[float], b: list[float], chance: st.DataObject) -> None:
    shuffled = list(a)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    here, there = welch(summary(a), summary(b)), welch(summary(shuffled), summary(b))
    assert there.estimate == pytest.approx(here.estimate, rel=1e-9, abs=1e-12)
    assert here.state is not State.OK or there.p == pytest.approx(here.p, rel=1e-9)


@given(MOMENTS, MOMENTS)
def test_moments_of_any_size_give_numbers_or_a_state(a: Moments, b: Moments) -> None:
    for found in (welch(a, b), uplift(a, b), paired_t(b)):
        numbers = [found.estimate, found.se, found.statistic, found.p, found.lower, found.upper]
        assert not any(number is not None and math.isnan(number) for number in numbers)
        assert found.p is None or 0 <= found.p <= 1
        assert (found.p is None) == (found.state is not State.OK)
        assert found.lower <= (found.estimate or 0.0) <= found.upper
    ratio, margin = fieller(a, b), contrast(a, b, delta=0.1)
    assert ratio.lower <= ratio.upper
    assert ratio.bounded == (ratio.lower > -math.inf)
    assert margin.p_below is None or 0 <= margin.p_below <= 1


def test_values_that_never_vary_are_degenerate_however_far_apart() -> None:
    flat, higher = summary([0.1] * 50), summary([0.3] * 50)
    found = welch(flat, higher)
    assert (found.state, found.p) == (State.DEGENERATE, None)
    assert found.estimate == pytest.approx(0.2)
    assert uplift(flat, higher).state is State.DEGENERATE
    assert fieller(flat, higher).state is State.DEGENERATE
    assert contrast(flat, higher, delta=0.1).state is State.DEGENERATE
    assert paired_t(flat).state is State.DEGENERATE


def test_one_arm_that_never_varies_leaves_the_other_ones_error() -> None:
    found = welch(summary([0.1] * 50), summary([1.0, 2.0, 3.0]))
    assert found.state is State.OK
    assert found.se == pytest.approx(math.sqrt(1 / 3))
    assert found.df == pytest.approx(2)


@pytest.mark.parametrize(("a", "b"), [([], []), ([], [1.0, 2.0]), ([1.0], [2.0]), ([1.0, 2.0], [3.0])])
def test_an_arm_of_fewer_than_two_values_has_no_test(a: list[float], b: list[float]) -> None:
    baseline, candidate = summary(a), summary(b)
    states = {method(baseline, candidate).state for method in (welch, uplift, fieller)}
    assert states == {State.NO_DATA}
    assert contrast(baseline, candidate, delta=0.1).state is State.NO_DATA
    assert (welch(baseline, candidate).estimate is None) == (not (a and b))


def test_a_baseline_of_0_has_no_uplift_but_a_difference_and_a_contrast() -> None:
    zero, candidate = Moments(5000, 0.0, 0.0), Moments(500, 0.1, 45.0)
    assert (uplift(zero, candidate).state, uplift(zero, candidate).estimate) == (State.DEGENERATE, None)
    assert (welch(zero, candidate).p or 1.0) < 1e-10
    assert (contrast(zero, candidate, delta=0.1).p_above or 1.0) < 1e-10
    assert fieller(zero, candidate).ratio is None


@given(st.floats(0.1, 100), st.floats(-100, 100), st.floats(0, 1000), st.floats(0, 1000), st.integers(2, 1000))
def test_at_an_end_of_a_bounded_ratio_the_contrast_is_at_its_level(m_a: float, m_b: float, q_a: float, q_b: float, n: int) -> None:
    a, b = Moments(n, m_a, q_a), Moments(n, m_b, q_b)
    found = fieller(a, b)
    assume(found.bounded and found.upper - found.lower > 1e-6)
    for end in (found.lower, found.upper):
        assert abs(contrast(a, b, delta=end - 1).z or 0.0) == pytest.approx(1.959964, rel=1e-4)


def test_a_baseline_within_its_error_of_0_leaves_the_ratio_open() -> None:
    found = fieller(Moments(100, 0.01, 99.0), Moments(100, 0.02, 99.0))
    assert (found.ratio, found.bounded, found.lower, found.upper) == (2.0, False, -math.inf, math.inf)


def test_a_ratio_of_negative_means_has_its_ends_in_order() -> None:
    found = fieller(Moments(100, -5.0, 99.0), Moments(100, 2.0, 99.0))
    assert found.lower < -0.4 < found.upper < 0


@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(-5, 5), st.floats(0.01, 5))
def test_equivalence_needs_both_sides_and_is_the_interval_inside(effect: float, se: float, low: float, width: float) -> None:
    found = equivalence(FixedHorizon(estimate=effect, n=9, method="z", se=se), low=low, high=low + width)
    inside = low < effect - 1.6448536 * se and effect + 1.6448536 * se < low + width
    assert found.p == max(found.p_lower or 0.0, found.p_upper or 0.0)
    assert ((found.p or 0.0) < 0.05) == inside


def test_equivalence_without_an_error_is_not_claimed() -> None:
    assert equivalence(paired_t(summary([])), low=-1, high=1).p is None
    assert equivalence(paired_t(summary([0.0, 0.0])), low=-1, high=1).p is None


def test_a_range_of_equivalence_that_is_upside_down_is_refused() -> None:
    with pytest.raises(InvalidInput, match="below its upper"):
        equivalence(paired_t(summary([1.0, 2.0])), low=1, high=-1)
