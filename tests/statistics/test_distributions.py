import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.latency import bucket_index
from modelctl.statistics import dkw, equal_quantiles
from modelctl.statistics.comparison import State
from modelctl.statistics.quantiles import Histogram

HISTOGRAMS = st.dictionaries(st.integers(-50, 200), st.integers(1, 500), max_size=30).map(Histogram)
COUNTS = st.dictionaries(st.integers(-20, 20).map(float), st.integers(0, 50), max_size=20)


def histogram(values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> Histogram:
    indices, counts = np.unique([bucket_index(float(value)) for value in values], return_counts=True)
    return Histogram({int(index): int(count) for index, count in zip(indices, counts, strict=True)})


@pytest.mark.parametrize(("alpha", "constant"), [(0.05, 8.122719), (0.025, 8.622649), (0.01, 9.283544)])
def test_the_constant_of_the_band_is_the_published_one(alpha: float, constant: float) -> None:
    assert dkw.constant(alpha) == pytest.approx(constant, abs=1e-6)


@given(st.floats(1e-8, 0.9), st.floats(1e-8, 0.9))
def test_a_smaller_level_has_a_wider_band(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert dkw.half_width(500, alpha=low) >= dkw.half_width(500, alpha=high) > dkw.fixed_half_width(500, alpha=high)


def test_there_is_no_band_before_the_first_look() -> None:
    assert dkw.half_width(99, alpha=0.05) == math.inf
    assert math.isfinite(dkw.half_width(100, alpha=0.05))
    with pytest.raises(InvalidInput, match="t_min"):
        dkw.half_width(10, alpha=0.05, t_min=0.5)


@given(HISTOGRAMS)
def test_a_band_rises_from_bucket_to_bucket_and_stays_a_share(found: Histogram) -> None:
    points = dkw.band(found, alpha=0.025)
    assert [point.x for point in points] == sorted(point.x for point in points)
    assert all(0 <= point.lower <= point.share <= point.upper <= 1 for point in points)
    assert not points or points[-1].share == 1


def test_a_band_covers_the_distribution_at_every_look() -> None:
    rng = np.random.default_rng(1)
    looks = np.arange(100, 2001, 20)
    width = np.array([dkw.half_width(int(n), alpha=0.05) for n in looks])
    missed = 0
    for _ in range(100):
        values = rng.random(2000)
        for n, half in zip(looks, width, strict=True):
            ordered = np.sort(values[:n])
            missed += bool(np.abs(ordered - np.arange(1, n + 1) / n).max() > half)
    assert missed == 0


@given(HISTOGRAMS, HISTOGRAMS)
def test_the_distance_of_two_arms_does_not_know_which_is_which(first: Histogram, second: Histogram) -> None:
    there, back = dkw.compare(first, second, alpha=0.05), dkw.compare(second, first, alpha=0.05)
    assert (there.lower, there.upper, there.state) == (back.lower, back.upper, back.state)
    assert 0 <= there.lower <= (there.estimate or 0.0) <= there.upper <= 1


def test_two_distributions_far_apart_have_a_distance_above_zero() -> None:
    rng = np.random.default_rng(2)
    slow, fast = histogram(rng.lognormal(1, 0.5, size=5000)), histogram(rng.lognormal(0, 0.5, size=5000))
    assert dkw.compare(fast, slow, alpha=0.05).lower > 0.4
    assert dkw.compare(fast, fast, alpha=0.05).lower == 0
    assert dkw.compare(fast, Histogram({}), alpha=0.05).state is State.NO_DATA
    assert dkw.compare(fast, Histogram({1: 20}), alpha=0.05).state is State.GATE


@given(COUNTS, COUNTS, st.floats(0.05, 0.95))
def test_the_evidence_for_different_quantiles_does_not_know_which_arm_is_which(
    first: dict[float, int], second: dict[float, int], q: float
) -> None:
    there, back = (equal_quantiles.log_e(one, other, q=q) for one, other in ((first, second), (second, first)))
    assert math.isfinite(there)
    assert there == pytest.approx(back, abs=1e-9)


@given(COUNTS, COUNTS, st.floats(0.05, 0.95))
def test_only_the_order_of_values_matters_to_equal_quantiles(first: dict[float, int], second: dict[float, int], q: float) -> None:
    stretched = [{math.exp(value / 5): count for value, count in arm.items()} for arm in (first, second)]
    plain = equal_quantiles.log_e(first, second, q=q)
    assert equal_quantiles.log_e(stretched[0], stretched[1], q=q) == pytest.approx(plain, abs=1e-9)


def test_buckets_see_a_shift_of_the_median_and_none_between_equal_arms() -> None:
    rng = np.random.default_rng(3)
    first, second, slow = (histogram(rng.lognormal(at, 0.5, size=2000)) for at in (0.0, 0.0, 0.3))
    assert equal_quantiles.histogram_log_e(first, second, q=0.5) < 1
    assert equal_quantiles.histogram_log_e(first, slow, q=0.5) > math.log(1000)


def test_arms_without_values_show_nothing_and_a_quantile_is_a_share() -> None:
    assert equal_quantiles.log_e({1.0: 5}, {2.0: 0}, q=0.5) == 0
    with pytest.raises(InvalidInput, match="p99"):
        equal_quantiles.log_e({1.0: 5}, {2.0: 3}, q=99.0)
