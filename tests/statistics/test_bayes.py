import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from modelctl.errors import InvalidInput
from modelctl.statistics.bayes import NormalPrior, chance_higher, effect_posterior
from modelctl.statistics.comparison import State
from modelctl.statistics.difference import Proportion


@st.composite
def proportions(draw: st.DrawFn, *, most: int = 3000) -> Proportion:
    n = draw(st.integers(0, most))
    return Proportion(n, draw(st.one_of(st.integers(0, n), st.sampled_from([0, n]))))


@given(proportions(), proportions())
def test_the_chances_of_both_arms_add_up_to_1(a: Proportion, b: Proportion) -> None:
    assert 0 <= chance_higher(a, b) <= 1
    assert chance_higher(a, b) + chance_higher(b, a) == pytest.approx(1, abs=1e-10)


@given(proportions(), proportions())
def test_counting_what_did_not_happen_turns_the_chance_around(a: Proportion, b: Proportion) -> None:
    fewer = chance_higher(Proportion(a.n, a.n - a.k), Proportion(b.n, b.n - b.k))
    assert chance_higher(a, b) == pytest.approx(1 - fewer, abs=1e-10)


@pytest.mark.parametrize(
    ("a", "b"), [((40, 400), (52, 410)), ((0, 50), (3, 60)), ((30, 30), (28, 30)), ((0, 0), (5, 5)), ((700, 1000), (720, 990))]
)
def test_the_chance_is_the_integral_it_stands_for(a: tuple[int, int], b: tuple[int, int]) -> None:
    first, second = (beta(k + 1, n - k + 1) for k, n in (a, b))
    wanted, _ = quad(lambda p: second.pdf(p) * first.cdf(p), 0, 1, epsabs=1e-12, limit=500)
    assert chance_higher(Proportion(a[1], a[0]), Proportion(b[1], b[0])) == pytest.approx(wanted, abs=1e-9)


def test_rare_events_of_many_requests_keep_their_digits() -> None:
    """By the beta-binomial distribution in 40 digits."""
    assert chance_higher(Proportion(20, 0), Proportion(10**6, 7)) == pytest.approx(0.0001679845450338613, rel=1e-9)
    assert chance_higher(Proportion(10**8, 1), Proportion(10**8, 3)) == pytest.approx(0.8125000031250003, rel=1e-12)
    assert chance_higher(Proportion(5, 5), Proportion(30, 0)) == pytest.approx(4.301474889710181e-07, rel=1e-12)


def test_no_data_is_an_even_chance() -> None:
    assert chance_higher(Proportion(0, 0), Proportion(0, 0)) == 0.5


def test_beyond_the_longest_sum_the_chance_goes_on_smoothly() -> None:
    below, above = (chance_higher(Proportion(n, n // 2), Proportion(n, n // 2 + 300)) for n in (1_999_998, 2_000_004))
    assert below == pytest.approx(above, abs=1e-6)
    assert chance_higher(Proportion(10**9, 10**8), Proportion(10**9, 10**8)) == pytest.approx(0.5)


EFFECT = st.floats(-1e6, 1e6)
ERROR = st.floats(1e-6, 1e6)


@given(EFFECT, ERROR)
def test_without_a_prior_the_posterior_is_the_data(effect: float, se: float) -> None:
    found = effect_posterior(effect, se, prior=NormalPrior())
    assert found.mean == pytest.approx(effect)
    assert found.sd == pytest.approx(se)


@given(EFFECT, ERROR, st.floats(-10, 10), st.floats(1e-9, 1e9))
def test_a_prior_pulls_towards_itself_and_never_widens(effect: float, se: float, mean: float, variance: float) -> None:
    found = effect_posterior(effect, se, prior=NormalPrior(mean, variance))
    assert found.mean is not None
    assert found.sd is not None
    room = 1e-9 * (abs(effect) + abs(mean))
    assert min(effect, mean) - room <= found.mean <= max(effect, mean) + room
    assert found.sd <= min(se, math.sqrt(variance)) * (1 + 1e-12)


@given(EFFECT, ERROR)
def test_turning_the_effect_around_swaps_the_risks(effect: float, se: float) -> None:
    there, back = (effect_posterior(sign * effect, se, prior=NormalPrior(0.0, 1.0)) for sign in (1, -1))
    assert (there.chance_to_win or 0.0) + (back.chance_to_win or 0.0) == pytest.approx(1)
    assert (there.risk_staying, there.risk_switching) == (back.risk_switching, back.risk_staying)
    assert (there.lower, there.upper) == (-(back.upper or 0.0), -(back.lower or 0.0))


@given(st.floats(-30, 30))
def test_the_risks_are_not_negative_and_differ_by_the_effect(effect: float) -> None:
    found = effect_posterior(effect, 1.0, prior=NormalPrior())
    assert found.risk_staying is not None
    assert found.risk_switching is not None
    assert min(found.risk_staying, found.risk_switching) >= 0
    assert found.risk_staying - found.risk_switching == pytest.approx(effect, abs=1e-12)


@pytest.mark.parametrize(("effect", "se"), [(1e300, 1e-300), (0.0, 1e200), (-1e300, 1e300), (1e-300, 1e-300)])
def test_effects_of_any_magnitude_have_a_posterior(effect: float, se: float) -> None:
    for prior in (NormalPrior(), NormalPrior(0.0, 1e-300), NormalPrior(0.0, 1e300)):
        found = effect_posterior(effect, se, prior=prior)
        numbers = (found.mean, found.sd, found.chance_to_win, found.lower, found.upper, found.risk_staying, found.risk_switching)
        assert all(number is not None and not math.isnan(number) for number in numbers)


def test_an_effect_without_error_has_no_posterior() -> None:
    found = effect_posterior(0.5, 0.0, prior=NormalPrior())
    assert (found.state, found.chance_to_win) == (State.DEGENERATE, None)


@pytest.mark.parametrize(("effect", "se"), [(math.nan, 1.0), (1.0, math.inf), (1.0, -1.0)])
def test_what_is_no_effect_is_refused(effect: float, se: float) -> None:
    with pytest.raises(InvalidInput, match="no posterior"):
        effect_posterior(effect, se, prior=NormalPrior())


@pytest.mark.parametrize(("mean", "variance"), [(0.0, 0.0), (0.0, -1.0), (math.inf, 1.0), (0.0, math.nan)])
def test_what_is_no_prior_is_refused(mean: float, variance: float) -> None:
    with pytest.raises(InvalidInput, match="no prior"):
        NormalPrior(mean, variance)
