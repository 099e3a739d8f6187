import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics import bounded
from modelctl.statistics.comparison import State

VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=60)


@settings(deadline=None)
@given(VALUES)
def test_both_intervals_hold_their_estimate_s_order_and_stay_within_zero_and_one(values: list[float]) -> None:
    lower, upper = bounded.empirical_bernstein(values, alpha=0.05)
    assert ((lower >= 0) & (lower <= upper) & (upper <= 1)).all()
    low, high = bounded.betting_interval(values, alpha=0.05)
    assert 0 <= low < high <= 1


@settings(deadline=None)
@given(VALUES)
def test_mirrored_values_have_the_mirrored_interval(values: list[float]) -> None:
    mirrored = [1 - value for value in values]
    low, high = bounded.betting_interval(values, alpha=0.05)
    other_low, other_high = bounded.betting_interval(mirrored, alpha=0.05)
    assert (other_low, other_high) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@settings(deadline=None)
@given(VALUES)
def test_a_smaller_level_gives_a_wider_interval_at_its_edge_the_threshold(values: list[float]) -> None:
    low, high = bounded.betting_interval(values, alpha=0.05)
    wide_low, wide_high = bounded.betting_interval(values, alpha=0.001)
    assert wide_low <= low + 1e-12
    assert wide_high >= high - 1e-12
    for end in (low, high):
        if 0 < end < 1:
            assert bounded.log_wealth(values, end, alpha=0.05)[-1] == pytest.approx(math.log(20), abs=1e-9)


@given(VALUES, st.floats(0, 1))
def test_wealth_is_a_number_at_every_mean_the_ends_included(values: list[float], mean: float) -> None:
    for tested in (0.0, mean, 1.0):
        assert np.isfinite(bounded.log_wealth(values, tested, alpha=0.05)).all()


def test_betting_is_narrower_than_bernstein_and_both_cover() -> None:
    rng = np.random.default_rng(2)
    missed, narrower = 0, 0
    for _ in range(200):
        values = rng.beta(2, 6, size=300).tolist()
        lower, upper = bounded.empirical_bernstein(values, alpha=0.05)
        low, high = bounded.betting_interval(values, alpha=0.05)
        missed += bool(((lower > 0.25) | (upper < 0.25)).any()) or not low <= 0.25 <= high
        narrower += high - low < upper[-1] - lower[-1]
    assert missed <= 23
    assert narrower > 190


def test_paired_scores_are_compared_on_their_own_scale() -> None:
    rng = np.random.default_rng(3)
    better = (rng.beta(6, 2, size=400) - rng.beta(2, 6, size=400)).tolist()
    found = bounded.compare_paired(better, alpha=0.05)
    assert found.estimate == pytest.approx(float(np.mean(better)))
    assert 0 < found.lower <= 0.5 <= found.upper < 1
    assert found.log_e > math.log(20)


def test_no_values_are_no_data_and_values_outside_the_bounds_are_refused() -> None:
    assert bounded.compare([], null=0.5, alpha=0.05).state is State.NO_DATA
    assert bounded.compare_paired([], alpha=0.05).reason == "no pairs yet"
    assert len(bounded.empirical_bernstein([], alpha=0.05)[0]) == 0
    for wrong in ([0.5, 1.2], [-0.1], [math.nan]):
        with pytest.raises(InvalidInput, match="rescale"):
            bounded.betting_interval(wrong, alpha=0.05)
    with pytest.raises(InvalidInput, match="mean"):
        bounded.log_wealth([0.5], 1.5, alpha=0.05)
