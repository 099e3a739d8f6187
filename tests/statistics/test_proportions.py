import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.difference import Proportion
from modelctl.statistics.proportions import clopper_pearson, fisher, newcombe, pooled_z, risk_ratio, wald, wilson
from modelctl.statistics.score_interval import as_statsmodels, miettinen_nurminen


@st.composite
def proportions(draw: st.DrawFn, *, least: int = 0, most: int = 5000) -> Proportion:
    n = draw(st.integers(least, most))
    return Proportion(n, draw(st.one_of(st.integers(0, n), st.sampled_from([0, n]))))


ARM = proportions()
FULL_ARM = proportions(least=1)
HUGE_ARM = proportions(most=10**15)


def flipped(interval: tuple[float, float]) -> tuple[float, float]:
    return -interval[1], -interval[0]


@given(HUGE_ARM)
def test_the_interval_of_a_share_holds_the_share_and_lies_in_0_to_1(arm: Proportion) -> None:
    for method in (wilson, clopper_pearson):
        lower, upper = method(arm)
        assert 0 <= lower <= upper <= 1
        if arm.n:
            assert lower <= arm.k / arm.n * (1 + 1e-12)
            assert arm.k / arm.n <= upper * (1 + 1e-12)


@given(ARM)
def test_no_events_reach_down_to_0_and_nothing_but_events_up_to_1(arm: Proportion) -> None:
    for method in (wilson, clopper_pearson):
        assert method(Proportion(arm.n, 0))[0] == 0
        assert method(Proportion(arm.n, arm.n))[1] == 1


@given(FULL_ARM)
def test_counting_what_did_not_happen_mirrors_the_interval(arm: Proportion) -> None:
    for method in (wilson, clopper_pearson):
        lower, upper = method(arm)
        mirrored = method(Proportion(arm.n, arm.n - arm.k))
        assert mirrored == pytest.approx((1 - upper, 1 - lower), abs=1e-12)


@given(ARM)
def test_more_confidence_is_a_wider_interval(arm: Proportion) -> None:
    for method in (wilson, clopper_pearson):
        narrow, wide = method(arm, confidence=0.9), method(arm, confidence=0.99)
        assert wide[0] <= narrow[0] <= narrow[1] <= wide[1]


@given(FULL_ARM)
def test_the_exact_interval_of_no_events_is_the_rule_of_three_made_exact(arm: Proportion) -> None:
    assert clopper_pearson(Proportion(arm.n, 0))[1] == pytest.approx(-math.expm1(math.log(0.025) / arm.n), rel=1e-9)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 2.0, math.nan])
def test_a_confidence_that_is_no_share_is_refused(confidence: float) -> None:
    for method in (wilson, clopper_pearson):
        with pytest.raises(InvalidInput, match="confidence"):
            method(Proportion(10, 3), confidence=confidence)


@given(ARM, ARM)
def test_swapping_the_arms_turns_every_difference_around(a: Proportion, b: Proportion) -> None:
    there, back = wald(a, b), wald(b, a)
    assert (there.estimate, there.p) == (None if back.estimate is None else -back.estimate, back.p)
    assert (there.lower, there.upper) == flipped((back.lower, back.upper))
    assert newcombe(a, b) == pytest.approx(flipped(newcombe(b, a)), abs=1e-12)
    assert miettinen_nurminen(a, b) == pytest.approx(flipped(miettinen_nurminen(b, a)), rel=1e-9, abs=1e-12)
    one, other = pooled_z(a, b), pooled_z(b, a)
    assert (one.z, one.p) == (None if other.z is None else -other.z, other.p)


@given(ARM, ARM)
def test_the_intervals_of_a_difference_hold_it_and_lie_in_minus_1_to_1(a: Proportion, b: Proportion) -> None:
    for method in (newcombe, miettinen_nurminen):
        lower, upper = method(a, b)
        assert -1 <= lower <= upper <= 1
        if a.n and b.n:
            assert lower - 1e-12 <= b.k / b.n - a.k / a.n <= upper + 1e-12


@given(ARM, ARM)
def test_any_counts_give_p_values_between_0_and_1_or_none(a: Proportion, b: Proportion) -> None:
    exact = fisher(a, b)
    for p in (pooled_z(a, b).p, wald(a, b).p, exact.p, exact.p_candidate_greater, exact.p_candidate_less):
        assert p is None or 0 <= p <= 1
    assert (pooled_z(a, b).p is None) == (not (a.n and b.n) or a.k + b.k in (0, a.n + b.n))


@given(FULL_ARM, st.integers(1, 50))
def test_equal_shares_differ_by_nothing(arm: Proportion, times: int) -> None:
    more = Proportion(arm.n * times, arm.k * times)
    assert wald(arm, more).estimate == 0
    assert pooled_z(arm, more).z in (0, None)


@given(FULL_ARM, FULL_ARM)
def test_fishers_sides_swap_with_the_arms(a: Proportion, b: Proportion) -> None:
    there, back = fisher(a, b), fisher(b, a)
    assert there.p == pytest.approx(back.p, rel=1e-9)
    assert there.p_candidate_greater == pytest.approx(back.p_candidate_less, rel=1e-9)


@given(ARM, ARM)
def test_the_risk_ratio_inverts_with_the_arms(a: Proportion, b: Proportion) -> None:
    there, back = risk_ratio(a, b), risk_ratio(b, a)
    assert there.state is back.state
    assert 0 <= there.lower <= there.upper
    if there.state is State.OK:
        assert there.ratio == pytest.approx(1 / (back.ratio or 0.0))
        assert there.lower == pytest.approx(1 / back.upper)
    else:
        assert (there.lower, there.upper) == (0.0, math.inf)


def test_errors_of_one_arm_alone_have_no_ratio_but_every_other_answer() -> None:
    healthy, failing = Proportion(5000, 0), Proportion(500, 50)
    assert risk_ratio(healthy, failing).ratio == math.inf
    assert fisher(healthy, failing).p < 1e-50
    assert (pooled_z(healthy, failing).z or 0.0) > 20
    for lower, upper in (newcombe(healthy, failing), miettinen_nurminen(healthy, failing)):
        assert 0.07 < lower < 0.1 < upper < 0.14


def test_two_arms_without_events_leave_the_difference_open_by_what_they_could_hide() -> None:
    silent = Proportion(50, 0)
    assert (pooled_z(silent, silent).p, fisher(silent, silent).p) == (None, 1.0)
    found = wald(silent, silent)
    assert (found.estimate, found.se, found.state, found.lower) == (0.0, 0.0, State.DEGENERATE, -math.inf)
    assert "no variation in 100 observations" in found.reason
    for lower, upper in (newcombe(silent, silent), miettinen_nurminen(silent, silent)):
        assert (lower, upper) == pytest.approx((-0.0718, 0.0718), abs=5e-4)


def test_an_arm_without_units_says_nothing() -> None:
    nothing, arm = Proportion(0, 0), Proportion(10, 3)
    assert (newcombe(nothing, arm), miettinen_nurminen(arm, nothing)) == ((-1.0, 1.0), (-1.0, 1.0))
    assert (wald(nothing, arm).state, risk_ratio(arm, nothing).state) == (State.NO_DATA, State.NO_DATA)
    assert as_statsmodels(nothing, arm) is None


def test_the_score_interval_is_the_published_one() -> None:
    """Newcombe (1998), table II, method 6: 56/70 and 48/80."""
    lower, upper = miettinen_nurminen(Proportion(80, 48), Proportion(70, 56))
    assert (round(lower, 4), round(upper, 4)) == (0.0528, 0.3382)


@given(proportions(least=2, most=400), proportions(least=2, most=400), st.floats(0.5, 0.999))
def test_at_an_end_of_the_score_interval_the_score_test_is_at_its_level(a: Proportion, b: Proportion, confidence: float) -> None:
    gap = b.k / b.n - a.k / a.n
    for end in miettinen_nurminen(a, b, confidence=confidence):
        if abs(end) < 1:
            again = score_test(a, b, difference=end)
            assert again == pytest.approx((1 - confidence), rel=1e-4), (gap, end)


def score_test(a: Proportion, b: Proportion, *, difference: float) -> float:
    """The two-sided p of one difference, with the likeliest shares searched for on a grid that closes in."""
    low, high = max(0.0, -difference), min(1.0, 1 - difference)
    for _ in range(80):
        grid = [low + (high - low) * i / 10 for i in range(11)]
        best = max(range(11), key=lambda i: log_likelihood(a, b, p=grid[i], difference=difference))
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, 10)]
    p_a = (low + high) / 2
    p_b = min(max(p_a + difference, 0.0), 1.0)
    n = a.n + b.n
    variance = (p_a * (1 - p_a) / a.n + p_b * (1 - p_b) / b.n) * n / (n - 1)
    return math.erfc(abs(b.k / b.n - a.k / a.n - difference) / math.sqrt(2 * variance))


def log_likelihood(a: Proportion, b: Proportion, *, p: float, difference: float) -> float:
    parts = ((a.k, p), (a.n - a.k, 1 - p), (b.k, p + difference), (b.n - b.k, 1 - p - difference))
    return sum(count * math.log(max(share, 1e-300)) for count, share in parts if count)
