import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import Corrupt, InvalidInput
from modelctl.statistics.moments import Moments, from_shifted_sums, merge, merge_all

VALUES = st.lists(st.floats(-1e6, 1e6), max_size=30)


def of(values: list[float], *, pivot: float = 0.0) -> Moments:
    shifted = [value - pivot for value in values]
    return from_shifted_sums(len(values), math.fsum(shifted), s2=math.fsum(x * x for x in shifted), pivot=pivot)


def exact_variance(values: list[float]) -> float:
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    return float(sum((x - mean) ** 2 for x in exact) / (len(exact) - 1))


@given(st.lists(VALUES, max_size=6))
def test_merging_any_partition_gives_the_whole(parts: list[list[float]]) -> None:
    values = [value for part in parts for value in part]
    merged, whole = merge_all(of(part, pivot=part[0] if part else 0.0) for part in parts), of(values)
    spread = max((abs(value) for value in values), default=0.0)
    assert merged.n == whole.n
    assert merged.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-12 * spread)
    assert merged.m2 == pytest.approx(whole.m2, rel=1e-9, abs=1e-9 * len(values) * spread**2)


@given(VALUES, VALUES)
def test_the_order_of_a_merge_does_not_matter(first: list[float], second: list[float]) -> None:
    one, other = merge(of(first), of(second)), merge(of(second), of(first))
    assert one.n == other.n
    assert one.mean == pytest.approx(other.mean, rel=1e-9, abs=1e-6)
    assert one.m2 == pytest.approx(other.m2, rel=1e-9, abs=1e-3)


@pytest.mark.parametrize("offset", [1e6, 1e9, 1e12])
def test_a_common_offset_does_not_cost_the_variance(offset: float) -> None:
    values = [offset + step for step in (4.0, 7.0, 13.0, 16.0, 21.0)]
    found = of(values, pivot=values[0])
    assert found.variance == pytest.approx(exact_variance(values), rel=1e-12)
    naive = (sum(x * x for x in values) - sum(values) ** 2 / 5) / 4
    assert offset == 1e6 or naive != pytest.approx(exact_variance(values), rel=0.1)


def test_one_value_has_a_mean_and_no_variance() -> None:
    assert of([3.5], pivot=3.0) == Moments(1, 3.5, 0.0)
    assert of([3.5]).variance is None


def test_no_values_have_no_variance_and_change_nothing_when_merged() -> None:
    some = of([1.0, 2.0, 4.0])
    assert Moments().variance is None
    assert merge(Moments(), some) == merge(some, Moments()) == some
    assert merge(Moments(), Moments()) == Moments()


@given(st.decimals(-(10**9), 10**9, places=6).map(float), st.integers(2, 1000), st.decimals(-1000, 1000, places=6).map(float))
def test_values_that_do_not_vary_are_called_constant(value: float, n: int, pivot: float) -> None:
    shift = value - pivot
    assert from_shifted_sums(n, n * shift, s2=n * shift * shift, pivot=pivot).constant


@given(st.floats(1e-9, 1e9))
def test_whether_values_are_constant_does_not_depend_on_their_unit(unit: float) -> None:
    assert not of([unit * x for x in (1.0, 1.001, 1.002)], pivot=unit).constant


def test_a_sum_of_squares_a_little_below_zero_is_rounding() -> None:
    assert from_shifted_sums(4, 4.0, s2=4.0 - 1e-12, pivot=0.0).m2 == 0


@pytest.mark.parametrize(("n", "s1", "s2"), [(4, 4.0, 3.9), (4, 0.0, -1.0), (0, 1.0, 0.0), (3, math.nan, 1.0), (3, 1.0, math.inf)])
def test_sums_that_belong_to_no_data_are_refused(n: int, s1: float, s2: float) -> None:
    with pytest.raises(Corrupt, match="belong to no data"):
        from_shifted_sums(n, s1, s2=s2, pivot=0.0)


def test_moments_of_nothing_real_are_refused() -> None:
    for wrong in ((-1, 0.0, 0.0), (2, 0.0, -1.0), (2, math.nan, 1.0), (2, 0.0, math.inf)):
        with pytest.raises(InvalidInput, match="not the summary"):
            Moments(*wrong)


def test_a_million_tenths_from_a_distant_pivot_show_no_spread() -> None:
    shifted = np.full(1_000_000, 0.1) - 0.0
    total, squares = float(np.cumsum(shifted)[-1]), float(np.cumsum(shifted * shifted)[-1])
    assert from_shifted_sums(1_000_000, total, s2=squares, pivot=0.0).constant
