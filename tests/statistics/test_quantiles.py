import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import quantile_test

from modelctl.errors import InvalidInput
from modelctl.latency import bucket_index, bucket_value
from modelctl.statistics.comparison import State
from modelctl.statistics.quantiles import (
    Histogram,
    compare,
    enough,
    interval,
    order_statistic_ranks,
    quantile,
)

MAGNITUDES = st.floats(1e-9, 1e9)


def histogram(values: list[float]) -> Histogram:
    positive = Counter(bucket_index(value) for value in values if value > 0)
    negative = Counter(bucket_index(-value) for value in values if value < 0)
    return Histogram(positive, zero=sum(value == 0 for value in values), negative=negative)


@given(MAGNITUDES)
def test_a_bucket_stands_for_its_values_within_one_percent(value: float) -> None:
    assert bucket_value(bucket_index(value)) == pytest.approx(value, rel=0.01 + 1e-9)


@given(
    st.lists(st.one_of(MAGNITUDES, MAGNITUDES.map(lambda x: -x), st.just(0.0)), min_size=1), st.sampled_from([0.1, 0.5, 0.9, 0.99])
)
def test_a_quantile_is_within_one_percent_of_the_order_statistic(values: list[float], q: float) -> None:
    exact = sorted(values)[math.floor(q * (len(values) - 1))]
    assert quantile(histogram(values), q) == pytest.approx(exact, rel=0.01 + 1e-9)


@given(st.lists(MAGNITUDES, min_size=1, max_size=300), st.sampled_from([0.5, 0.9, 0.99]))
def test_the_interval_contains_the_quantile_and_shrinks_with_alpha(values: list[float], q: float) -> None:
    counts = histogram(values)
    strict, loose = interval(counts, q, alpha=0.01), interval(counts, q, alpha=0.05)
    estimate = quantile(counts, q)
    assert estimate is not None
    assert strict[0] <= loose[0] <= estimate <= loose[1] <= strict[1]


@given(st.lists(MAGNITUDES, min_size=1, max_size=300))
def test_mirrored_values_give_the_mirrored_interval(values: list[float]) -> None:
    there, back = interval(histogram(values), 0.5, alpha=0.05), interval(histogram([-x for x in values]), 0.5, alpha=0.05)
    assert there == pytest.approx((-back[1], -back[0]))


def test_values_of_either_sign_and_zero_are_in_order() -> None:
    counts = histogram([-100.0, -1.0, 0.0, 1.0, 100.0])
    values = [quantile(counts, q) for q in (0.01, 0.25, 0.5, 0.75, 0.999)]
    assert values == pytest.approx([-100, -1, 0, 1, 1], rel=0.01)


def test_a_point_mass_pins_the_quantile_to_its_bucket() -> None:
    low, high = interval(Histogram({bucket_index(10.0): 10_000}), 0.5, alpha=0.05)
    assert low < 10.0 <= high
    assert high / low == pytest.approx(1.0202, abs=0.001)


def test_too_few_values_leave_the_upper_end_of_p99_open() -> None:
    assert interval(Histogram({100: 200}), 0.99, alpha=0.05)[1] == math.inf
    assert interval(Histogram({100: 2000}), 0.99, alpha=0.05)[1] < math.inf


@pytest.mark.parametrize(("q", "needed"), [(0.5, 4), (0.9, 35), (0.99, 381), (0.999, 3838), (0.01, 381)])
def test_how_many_values_a_quantile_needs(q: float, needed: int) -> None:
    assert [enough(n, q) for n in (needed - 1, needed)] == [False, True]


@given(st.integers(1, 2000), st.sampled_from([0.01, 0.5, 0.9, 0.95, 0.99]))
def test_ranks_are_those_of_scipy_and_none_outside_the_data(n: int, q: float) -> None:
    wanted: Any = quantile_test(np.arange(1, n + 1), q=0, p=q).confidence_interval()
    expected = tuple(None if math.isnan(rank) else rank for rank in (wanted.low, wanted.high))
    assert order_statistic_ranks(n, q) == expected


def test_no_values_have_no_ranks() -> None:
    assert order_statistic_ranks(0, 0.5) == (None, None)


def test_ranks_hold_the_quantile_as_often_as_they_say() -> None:
    rng = np.random.default_rng(7)
    low, high = order_statistic_ranks(240, 0.95)
    assert low is not None
    assert high is not None
    samples = np.sort(rng.random((4000, 240)), axis=1)
    missed = (samples[:, low - 1] > 0.95) | (samples[:, high - 1] < 0.95)
    assert 0.02 < missed.mean() < 0.065


def test_a_slower_candidate_shows_in_the_difference_of_quantiles() -> None:
    rng = np.random.default_rng(11)
    slow, fast = (histogram(list(scale * rng.lognormal(3, 0.5, 5000))) for scale in (1.5, 1.0))
    found = compare(fast, slow, q=0.9, alpha=0.05)
    assert found.lower > 0
    assert compare(slow, fast, q=0.9, alpha=0.05).upper == pytest.approx(-found.lower)
    assert found.log_e == 0.0


def test_an_arm_without_values_has_no_quantile() -> None:
    assert quantile(Histogram({}), 0.5) is None
    found = compare(Histogram({}), Histogram({3: 9}), q=0.5, alpha=0.05)
    assert (found.estimate, found.state) == (None, State.NO_DATA)


def test_impossible_quantiles_and_counts_are_refused() -> None:
    with pytest.raises(InvalidInput, match=r"0\.99 for p99"):
        quantile(Histogram({3: 9}), 99)
    with pytest.raises(InvalidInput, match="below 0"):
        Histogram({3: -1})
