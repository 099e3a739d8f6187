"""The box around two arms' own intervals, and the proven excess of an alarm."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.statistics import coin, difference_exact
from modelctl.statistics.comparison import State
from modelctl.statistics.difference import Proportion, ProportionStage


def stage(n_a: int, k_a: int, n_b: int, k_b: int) -> ProportionStage:
    return ProportionStage(Proportion(n_a, k_a), Proportion(n_b, k_b))


def test_one_stage_has_half_the_level_and_each_arm_half_of_that() -> None:
    found = difference_exact.compare([stage(9_500, 3, 500, 0)], alpha=0.04)
    low_a, high_a = coin.interval(3, 9_500, alpha=0.01)
    low_b, high_b = coin.interval(0, 500, alpha=0.01)
    assert (found.lower, found.upper) == pytest.approx((low_b - high_a, high_b - low_a))
    assert (found.estimate, found.n, found.state) == (-3 / 9_500, 10_000, State.OK)


def test_a_stage_keeps_the_level_of_its_place_when_an_earlier_one_has_no_data() -> None:
    alone = difference_exact.compare([stage(900, 1, 100, 1)], alpha=0.01)
    third = difference_exact.compare([stage(0, 0, 0, 0), stage(50, 1, 0, 0), stage(900, 1, 100, 1)], alpha=0.06)
    assert (third.lower, third.upper) == (alone.lower, alone.upper)
    assert third.n == 1_000


def test_without_both_arms_nothing_is_claimed() -> None:
    found = difference_exact.compare([stage(50, 1, 0, 0)], alpha=0.05)
    assert (found.lower, found.upper, found.state) == (-1.0, 1.0, State.NO_DATA)
    assert difference_exact.proven_excess([stage(50, 1, 0, 0)], alpha=0.05) == -1.0


counts = st.tuples(st.integers(1, 5_000), st.integers(0, 5_000), st.integers(1, 5_000), st.integers(0, 5_000))


@given(st.lists(counts, min_size=1, max_size=4))
def test_the_box_holds_its_estimate_turns_with_the_arms_and_grows_with_less_error(drawn: list[tuple[int, int, int, int]]) -> None:
    stages = [stage(n_a, min(k_a, n_a), n_b, min(k_b, n_b)) for n_a, k_a, n_b, k_b in drawn]
    found, wider = (difference_exact.compare(stages, alpha=alpha) for alpha in (0.05, 0.01))
    turned = difference_exact.compare([ProportionStage(one.candidate, one.baseline) for one in stages], alpha=0.05)
    assert found.estimate is not None
    assert -1 <= wider.lower <= found.lower <= found.estimate <= found.upper <= wider.upper <= 1
    assert (turned.lower, turned.upper) == pytest.approx((-found.upper, -found.lower), abs=1e-12)
    assert found.lower - 1e-12 <= difference_exact.proven_excess(stages, alpha=0.05) <= found.estimate + 1e-12
    assert math.isfinite(found.log_e)
