import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.moments import Moments
from modelctl.statistics.paired import bland_altman, concordance, mcnemar

COUNT = st.integers(0, 3000)


@given(COUNT, COUNT, COUNT, COUNT)
def test_any_counts_give_p_values_between_0_and_1(both: int, lost: int, won: int, neither: int) -> None:
    found = mcnemar(both, lost, candidate_only=won, neither=neither)
    for p in (found.exact_p, found.mid_p, found.chi2_p, found.chi2_corrected_p):
        assert 0 <= p <= 1
    assert (found.delta is None) == (found.n == 0)


@given(COUNT, COUNT, COUNT, COUNT)
def test_swapping_the_arms_flips_the_difference_alone(both: int, lost: int, won: int, neither: int) -> None:
    there, back = (mcnemar(both, a, candidate_only=b, neither=neither) for a, b in ((lost, won), (won, lost)))
    assert (there.exact_p, there.mid_p, there.se) == (back.exact_p, back.mid_p, back.se)
    assert there.delta is None or there.delta == -(back.delta or 0.0)


@given(COUNT, COUNT, COUNT)
def test_pairs_where_both_agree_leave_the_p_values_unchanged(lost: int, won: int, agreed: int) -> None:
    few, many = (mcnemar(both, lost, candidate_only=won, neither=0) for both in (0, agreed))
    assert (few.exact_p, few.mid_p, few.chi2_p) == (many.exact_p, many.mid_p, many.chi2_p)


@given(st.integers(0, 300), st.integers(0, 300))
def test_the_exact_p_is_that_of_a_fair_coin(lost: int, won: int) -> None:
    wanted = binomtest(lost, lost + won).pvalue if lost + won else 1.0
    assert mcnemar(10, lost, candidate_only=won, neither=10).exact_p == pytest.approx(wanted, rel=1e-9)


def test_no_disagreement_is_no_evidence() -> None:
    found = mcnemar(100, 0, candidate_only=0, neither=3)
    assert (found.delta, found.se, found.exact_p, found.mid_p, found.chi2_p) == (0.0, 0.0, 1.0, 1.0, 1.0)


def test_no_pairs_have_no_difference() -> None:
    found = mcnemar(0, 0, candidate_only=0, neither=0)
    assert (found.n, found.delta, found.se, found.exact_p) == (0, None, None, 1.0)


def test_negative_pairs_are_refused() -> None:
    with pytest.raises(InvalidInput, match="below 0"):
        mcnemar(1, -1, candidate_only=0, neither=0)


@given(st.integers(2, 1000), st.floats(-100, 100), st.floats(0.01, 1e4))
def test_limits_of_agreement_lie_around_the_bias_and_in_their_own_intervals(n: int, bias: float, m2: float) -> None:
    found = bland_altman(Moments(n, bias, m2))
    assert found.limits is not None
    assert found.lower_limit_interval is not None
    assert found.lower_limit_interval[0] < found.limits[0] < found.lower_limit_interval[1]
    assert found.limits[0] < bias < found.limits[1]
    assert found.state is State.OK


def test_fewer_than_two_pairs_have_no_limits() -> None:
    none, one = bland_altman(Moments()), bland_altman(Moments(1, 0.5, 0.0))
    assert (none.bias, none.limits, none.state) == (None, None, State.NO_DATA)
    assert (one.bias, one.limits, one.state) == (0.5, None, State.NO_DATA)


def test_a_constant_difference_is_called_degenerate() -> None:
    found = bland_altman(Moments(50, 0.5, 0.0))
    assert (found.state, found.limits) == (State.DEGENERATE, (0.5, 0.5))


def test_the_same_answers_agree_fully_and_shifted_ones_less() -> None:
    arm = Moments(10, 5.0, 40.0)
    same = concordance(arm, arm, differences=Moments(10, 0.0, 0.0))
    shifted = concordance(arm, Moments(10, 7.0, 40.0), differences=Moments(10, 2.0, 0.0))
    assert same.pearson == pytest.approx(1.0)
    assert same.lin == pytest.approx(1.0)
    assert shifted.pearson == pytest.approx(1.0)
    assert shifted.lin == pytest.approx(80 / (80 + 10 * 4))


def test_answers_that_never_vary_have_no_correlation() -> None:
    flat = Moments(10, 5.0, 0.0)
    found = concordance(flat, flat, differences=Moments(10, 0.0, 0.0))
    assert (found.pearson, found.lin) == (None, None)
    apart = concordance(flat, Moments(10, 6.0, 0.0), differences=Moments(10, 1.0, 0.0))
    assert (apart.pearson, apart.lin) == (None, 0.0)


def test_moments_over_different_pairs_are_refused() -> None:
    with pytest.raises(InvalidInput, match="same pairs"):
        concordance(Moments(3, 0.0, 1.0), Moments(4, 0.0, 1.0), differences=Moments(3, 0.0, math.pi))
