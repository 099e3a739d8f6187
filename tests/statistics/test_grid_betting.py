import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.grid_betting import compare, log_e_down, log_e_up

COUNTS = st.tuples(st.integers(0, 500), st.integers(0, 20_000), st.integers(0, 500)).filter(lambda counts: sum(counts) > 0)
Counts = tuple[int, int, int]


@given(COUNTS)
def test_any_counts_give_an_ordered_interval_around_the_mean(counts: Counts) -> None:
    found = compare(counts[0], counts[1], n_neg=counts[2], alpha=0.05)
    assert found.estimate is not None
    assert -1 <= found.lower <= found.estimate <= found.upper <= 1
    assert 0 <= found.p <= 1


@given(COUNTS)
def test_log_e_at_the_edges_is_the_threshold_of_each_side(counts: Counts) -> None:
    found = compare(counts[0], counts[1], n_neg=counts[2], alpha=0.05)
    if found.lower > -1:
        assert float(log_e_up(counts[0], counts[1], n_neg=counts[2], theta0=found.lower)) == pytest.approx(math.log(40), abs=1e-8)
    if found.upper < 1:
        assert float(log_e_down(counts[0], counts[1], n_neg=counts[2], theta0=found.upper)) == pytest.approx(math.log(40), abs=1e-8)


@given(COUNTS)
def test_zero_leaves_the_interval_when_log_e_reaches_the_threshold(counts: Counts) -> None:
    found = compare(counts[0], counts[1], n_neg=counts[2], alpha=0.05)
    assert (found.log_e >= math.log(20)) == (not found.lower < 0 < found.upper)


@given(COUNTS)
def test_a_stricter_interval_contains_a_looser_one(counts: Counts) -> None:
    strict, loose = (compare(counts[0], counts[1], n_neg=counts[2], alpha=alpha) for alpha in (0.01, 0.05))
    assert strict.lower <= loose.lower <= loose.upper <= strict.upper


@given(COUNTS)
def test_swapping_the_arms_negates_the_interval(counts: Counts) -> None:
    there, back = (compare(one[0], one[1], n_neg=one[2], alpha=0.05) for one in (counts, counts[::-1]))
    assert (there.lower, there.upper) == (-back.upper, -back.lower)
    assert there.log_e == back.log_e


@given(COUNTS, st.integers(1, 50))
def test_more_pairs_that_the_candidate_loses_never_raise_the_interval(counts: Counts, lost: int) -> None:
    before = compare(counts[0], counts[1], n_neg=counts[2], alpha=0.05)
    after = compare(counts[0], counts[1], n_neg=counts[2] + lost, alpha=0.05)
    assert after.upper <= before.upper + 1e-9


def test_pairs_without_any_disagreement_prove_a_margin_in_time() -> None:
    ends = [compare(0, n, n_neg=0, alpha=0.05).lower for n in (100, 300, 1000, 3000)]
    assert ends == sorted(ends)
    assert ends[0] < -0.01 < ends[2]


def test_no_pairs_say_nothing() -> None:
    found = compare(0, 0, n_neg=0, alpha=0.05)
    assert (found.estimate, found.lower, found.upper, found.p) == (None, -1.0, 1.0, 1.0)
    assert found.state is State.NO_DATA


def test_a_candidate_that_loses_every_pair_is_bounded_from_above_only() -> None:
    found = compare(0, 0, n_neg=200, alpha=0.05)
    assert (found.estimate, found.lower) == (-1.0, -1.0)
    assert found.upper < -0.9


@pytest.mark.parametrize("theta0", [-1.0, 1.0, math.nan])
def test_a_mean_that_cannot_be_is_refused(theta0: float) -> None:
    with pytest.raises(InvalidInput, match="strictly between"):
        log_e_up(1, 2, n_neg=3, theta0=theta0)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(InvalidInput, match="below 0"):
        compare(-1, 2, n_neg=3, alpha=0.05)
