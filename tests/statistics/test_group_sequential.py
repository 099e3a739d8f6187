import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr, ndtri

from modelctl.errors import IllegalMove, InvalidInput
from modelctl.statistics import group_sequential as gst
from modelctl.statistics.comparison import State
from modelctl.statistics.crossing import START, bound_for, carry, first_crossings
from modelctl.statistics.designs import Proportions
from modelctl.statistics.difference import Proportion, ProportionStage, estimate_proportions
from modelctl.statistics.estimate import Estimate, anytime
from modelctl.statistics.forecast import forecast
from modelctl.statistics.group_sequential import Spending, boundaries

SHARES = st.lists(st.floats(0.02, 1.0), min_size=1, max_size=8).map(sorted)
USUAL = Spending(alpha=0.05)


@settings(max_examples=40, deadline=None)
@given(SHARES)
def test_each_side_spends_its_level_times_the_square_of_the_information(shares: list[float]) -> None:
    looks = [t for t, later in zip(shares, [*shares[1:], 9.0], strict=True) if later - t > 1e-3]
    z = np.array(boundaries(looks, USUAL))
    spent = first_crossings(np.array(looks), z * np.sqrt(looks), drift=0.0).cumsum()
    assert spent == pytest.approx(0.025 * np.array(looks) ** 2, rel=1e-6, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(SHARES)
def test_no_boundary_is_below_that_of_a_single_look_or_beyond_eight(shares: list[float]) -> None:
    z = boundaries(shares, USUAL)
    assert len(z) == len(shares)
    assert all(1.959963 <= one <= 8 for one in z)


def test_one_look_at_the_end_is_a_fixed_test() -> None:
    assert boundaries([1.0], USUAL) == pytest.approx([1.959964])
    assert boundaries([1.0], Spending(alpha=0.05, sides=1)) == pytest.approx([1.644854])


def test_two_looks_agree_with_the_bivariate_normal_by_simulation() -> None:
    rng = np.random.default_rng(1)
    first = rng.normal(size=2_000_000) * math.sqrt(0.3)
    second = first + rng.normal(size=2_000_000) * math.sqrt(0.7)
    z = boundaries([0.3, 1.0], USUAL)
    crossed = (first > z[0] * math.sqrt(0.3)) | (second > z[1])
    assert crossed.mean() == pytest.approx(0.025, abs=5e-4)


def test_a_look_that_adds_nothing_spends_nothing() -> None:
    z = boundaries([0.5, 0.5, 0.5, 1.0], USUAL)
    plain = boundaries([0.5, 1.0], USUAL)
    assert z[:3] == (plain[0],) * 3
    assert z[3] == pytest.approx(plain[1])


def test_a_closing_look_spends_what_is_left() -> None:
    open_end, closing = boundaries([0.5, 0.9], USUAL), boundaries([0.5, 0.9], USUAL, closing=True)
    assert closing[0] == open_end[0]
    assert closing[1] < open_end[1]
    spent = first_crossings(np.array([0.5, 0.9]), np.array(closing) * np.sqrt([0.5, 0.9]), drift=0.0).sum()
    assert spent == pytest.approx(0.025, rel=1e-6)
    assert boundaries([0.5, 0.9, 0.9], USUAL, closing=True)[-1] >= 1.959963


def test_the_chance_to_cross_is_that_of_one_normal_when_there_is_one_look() -> None:
    assert first_crossings(np.array([4.0]), np.array([3.0]), drift=1.0)[0] == pytest.approx(1 - ndtr((3 - 4) / 2))
    assert bound_for(START, 1.0, chance=0.1) == pytest.approx(-ndtri(0.1))
    state = carry(START, 1.0, bound=0.0)
    assert state.mass.sum() == pytest.approx(0.5)
    assert carry(START, 1.0, bound=-20.0).mass.sum() == 0


@pytest.mark.parametrize("shares", [[0.0, 0.5], [0.5, 0.4], [0.5, 1.01], [-0.1]])
def test_information_that_falls_or_is_no_share_is_refused(shares: list[float]) -> None:
    with pytest.raises(InvalidInput, match="information shares"):
        boundaries(shares, USUAL)


def test_watching_is_refused_and_so_is_a_plan_without_a_maximum() -> None:
    with pytest.raises(InvalidInput, match="engine anytime"):
        boundaries([look / 200 for look in range(1, 201)], USUAL)
    with pytest.raises(InvalidInput, match="max_n"):
        gst.Plan(max_n=0, max_information=1.0)
    with pytest.raises(InvalidInput, match="1 or 2 sides"):
        Spending(alpha=0.05, sides=3)


def estimate(n: int, value: float = 0.1) -> Estimate:
    """Of values with variance 4, so that 1/se^2 = n/4."""
    return Estimate(value=value, se=2 / math.sqrt(n), n=n)


def test_looks_follow_the_declared_information_and_the_last_one_closes_the_plan() -> None:
    plan = gst.declared(1000, variance=4.0)
    for n in (250, 500, 750, 1000):
        plan = gst.look(plan, estimate(n))
    assert plan.shares == pytest.approx((0.25, 0.5, 0.75, 1.0))
    assert plan.closed
    found = gst.compare(estimate(1000), plan, spending=USUAL)
    assert found.upper - 0.1 == pytest.approx(2.0919 * 2 / math.sqrt(1000), rel=1e-4)
    assert (found.method, found.usable, found.log_e) == ("group-sequential", True, 0.0)


def test_a_look_beyond_the_declared_maximum_is_refused_and_the_plan_is_never_extended() -> None:
    plan = gst.declared(1000, variance=4.0)
    with pytest.raises(IllegalMove, match=r"beyond the declared maximum 1,000.*never extended"):
        gst.look(plan, estimate(1001))
    closed = gst.look(plan, estimate(1000))
    with pytest.raises(IllegalMove, match="inconclusive"):
        gst.look(closed, estimate(1000))


def test_the_maximum_of_units_closes_the_plan_even_if_less_was_learnt_than_declared() -> None:
    plan = gst.look(gst.declared(1000, variance=3.0), estimate(1000))
    assert plan.closed
    assert plan.shares == pytest.approx((0.75,))
    assert gst.compare(estimate(1000), plan, spending=USUAL).upper == pytest.approx(0.1 + 1.959964 * 2 / math.sqrt(1000))


def test_more_information_than_declared_ends_the_plan_early() -> None:
    plan = gst.look(gst.declared(1000, variance=8.0), estimate(600))
    assert plan.closed
    assert plan.shares == (1.0,)


def test_an_estimate_behind_its_gate_takes_no_look_and_claims_nothing() -> None:
    plan, gated = gst.declared(1000, variance=4.0), Estimate(value=0.1, n=20, state=State.GATE, reason="too few")
    assert gst.look(plan, gated) == plan
    found = gst.compare(gated, plan, spending=USUAL)
    assert (found.state, found.lower, found.upper) == (State.GATE, -math.inf, math.inf)
    with pytest.raises(InvalidInput, match="no look yet"):
        gst.compare(estimate(100), plan, spending=USUAL)


def test_a_plan_made_by_its_forecast_judges_rates_of_a_canary_against_a_margin() -> None:
    design = Proportions(baseline=0.02, candidate=0.02, share=0.5, margin=0.01)
    planned = forecast(design)
    plan = gst.declared(math.ceil(planned.max_n_group_sequential), variance=planned.variance)
    found = []
    for part in (1, 2, 3, 4):
        arm = Proportion(part * plan.max_n // 8, part * plan.max_n // 400)
        estimate = estimate_proportions([ProportionStage(arm, arm)])
        plan = gst.look(plan, estimate)
        found.append(gst.compare(estimate, plan, spending=USUAL))
    assert plan.shares == pytest.approx((0.25, 0.5, 0.75, 1.0), abs=0.02)
    assert [one.upper for one in found] == sorted((one.upper for one in found), reverse=True)
    assert found[0].upper > 0.01 > found[3].upper
    watched = anytime(estimate_proportions([ProportionStage(arm, arm)]), tau=0.01, alpha=0.05)
    assert found[3].upper < watched.upper
