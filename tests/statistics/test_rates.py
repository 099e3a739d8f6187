import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.rates import Events, rate_ratio

EVENTS = st.builds(Events, st.integers(0, 500), st.floats(0.01, 1e6))


@given(EVENTS, EVENTS)
def test_the_ratio_inverts_with_the_arms(a: Events, b: Events) -> None:
    there, back = rate_ratio(a, b), rate_ratio(b, a)
    assert there.p == pytest.approx(back.p, rel=1e-6, abs=1e-12)
    assert there.p_candidate_greater == pytest.approx(back.p_candidate_less, rel=1e-6, abs=1e-12)
    if there.state is State.OK:
        assert there.ratio == pytest.approx(1 / back.ratio if back.ratio else math.inf, rel=1e-6)
        assert there.upper == pytest.approx(1 / back.lower if back.lower else math.inf, rel=1e-6)


@given(EVENTS, EVENTS)
def test_any_events_give_an_interval_around_the_ratio(a: Events, b: Events) -> None:
    found = rate_ratio(a, b)
    assert 0 <= found.lower <= found.upper
    assert found.ratio is None or found.lower <= found.ratio * (1 + 1e-9)
    assert found.ratio is None or found.ratio <= found.upper * (1 + 1e-9)
    for p in (found.p, found.p_candidate_greater, found.p_candidate_less):
        assert 0 <= p <= 1


@given(EVENTS, EVENTS, st.sampled_from([2.0**-20, 2.0**20]))
def test_another_unit_of_exposure_changes_nothing(a: Events, b: Events, unit: float) -> None:
    assert rate_ratio(a, b) == rate_ratio(Events(a.k, a.exposure * unit), Events(b.k, b.exposure * unit))


@pytest.mark.parametrize(("a", "b"), [((0, 0.0), (0, 0.0)), ((0, 5.0), (0, 5.0)), ((0, 0.0), (3, 5.0)), ((3, 5.0), (0, 0.0))])
def test_no_events_or_no_exposure_say_nothing(a: tuple[int, float], b: tuple[int, float]) -> None:
    found = rate_ratio(Events(*a), Events(*b))
    assert (found.state, found.ratio, found.p, found.lower, found.upper) == (State.NO_DATA, None, 1.0, 0.0, math.inf)


def test_a_side_without_events_ends_at_0_or_nowhere() -> None:
    assert rate_ratio(Events(5, 9.0), Events(0, 9.0)).lower == 0
    found = rate_ratio(Events(0, 9.0), Events(5, 9.0))
    assert (found.ratio, found.upper) == (math.inf, math.inf)
    assert found.lower == pytest.approx(0.025**0.2 / (1 - 0.025**0.2))


@pytest.mark.parametrize(("k", "exposure"), [(-1, 1.0), (1, 0.0), (1, -1.0), (0, math.inf), (0, math.nan)])
def test_events_that_cannot_be_are_refused(k: int, exposure: float) -> None:
    with pytest.raises(InvalidInput, match="cannot be"):
        Events(k, exposure)
