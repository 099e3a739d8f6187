import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics.arm_given_event import EventStage, compare, log_e, log_likelihood
from modelctl.statistics.comparison import State

SHARES = st.floats(0.001, 0.999)
STAGES = st.lists(
    st.integers(0, 2000).flatmap(lambda n: st.builds(EventStage, st.integers(0, n), st.just(n), SHARES)),
    min_size=1,
    max_size=4,
)


@given(STAGES)
def test_any_counts_give_an_ordered_interval_around_the_estimate(stages: list[EventStage]) -> None:
    found = compare(stages, alpha=0.05)
    assert 0 <= found.lower <= found.upper
    assert 0 <= found.p <= 1
    assert found.usable == (found.estimate is not None)
    if found.estimate is not None:
        assert found.lower <= found.estimate <= found.upper


@given(STAGES)
def test_log_e_at_the_edges_is_the_threshold(stages: list[EventStage]) -> None:
    found = compare(stages, alpha=0.05)
    k, n, shares = (np.array([getattr(one, name) for one in stages], dtype=float) for name in ("k", "n", "share"))
    for end in (found.lower, found.upper):
        if 0 < end < math.inf:
            assert float(log_e(k, n, shares=shares, ratio=end)) == pytest.approx(math.log(20), rel=1e-9, abs=1e-8)


@given(STAGES)
def test_a_stricter_interval_contains_a_looser_one(stages: list[EventStage]) -> None:
    strict, loose = (compare(stages, alpha=alpha) for alpha in (0.01, 0.05))
    assert strict.lower <= loose.lower <= loose.upper <= strict.upper


@given(STAGES)
def test_swapping_the_arms_inverts_the_ratio(stages: list[EventStage]) -> None:
    there = compare(stages, alpha=0.05)
    back = compare([EventStage(one.n - one.k, one.n, 1 - one.share) for one in stages], alpha=0.05)
    assert there.log_e == pytest.approx(back.log_e, rel=1e-9, abs=1e-8)
    assert back.lower == pytest.approx(1 / there.upper if there.upper else math.inf, rel=1e-6)
    assert there.lower == pytest.approx(1 / back.upper if back.upper else math.inf, rel=1e-6)


@given(STAGES, st.data())
def test_splitting_a_stage_changes_nothing(stages: list[EventStage], data: st.DataObject) -> None:
    first = stages[0]
    k = data.draw(st.integers(0, first.k))
    n = data.draw(st.integers(k, first.n - (first.k - k)))
    parts = [EventStage(k, n, first.share), EventStage(first.k - k, first.n - n, first.share)]
    assert compare([*parts, *stages[1:]], alpha=0.05) == compare(stages, alpha=0.05)
    assert compare([*stages[1:], *parts], alpha=0.05) == compare(stages, alpha=0.05)


@given(STAGES)
def test_one_more_event_in_the_candidate_never_lowers_the_interval(stages: list[EventStage]) -> None:
    first = stages[0]
    more = [EventStage(first.k + 1, first.n + 1, first.share), *stages[1:]]
    assert compare(more, alpha=0.05).lower >= compare(stages, alpha=0.05).lower * (1 - 1e-9)


@given(STAGES, st.floats(-3, 3))
def test_doubling_every_count_doubles_the_log_likelihood(stages: list[EventStage], log_ratio: float) -> None:
    k, n, shares = (np.array([getattr(one, name) for one in stages], dtype=float) for name in ("k", "n", "share"))
    once, twice = (log_likelihood(times * k, times * n, shares=shares, log_ratios=np.array([log_ratio])) for times in (1, 2))
    assert twice == pytest.approx(2 * once, rel=1e-12)


def test_no_event_in_the_candidate_leaves_the_ratio_open_below() -> None:
    found = compare([EventStage(0, 200, 0.05)], alpha=0.05)
    assert (found.estimate, found.lower) == (0.0, 0.0)
    assert 0 < found.upper < 1.2


def test_no_event_in_the_baseline_leaves_the_ratio_open_above() -> None:
    found = compare([EventStage(20, 20, 0.05)], alpha=0.05)
    assert (found.estimate, found.upper) == (math.inf, math.inf)
    assert found.lower > 1


def test_no_events_at_all_say_nothing() -> None:
    for stages in ([], [EventStage(0, 0, 0.05)], [EventStage(0, 30, 0.0)], [EventStage(29, 30, 1.0)]):
        found = compare(stages, alpha=0.05)
        assert (found.estimate, found.lower, found.upper, found.p) == (None, 0.0, math.inf, 1.0)
        assert found.state is State.NO_DATA


def test_one_event_in_a_million_stays_a_number() -> None:
    found = compare([EventStage(1_000_000, 1_000_001, 0.5)], alpha=0.05)
    assert found.lower > 15
    assert found.estimate == pytest.approx(1_000_000, rel=1e-6)


def test_the_harm_of_a_ratio_is_its_distance_from_1() -> None:
    found = compare([EventStage(60, 100, 0.5)], alpha=0.05)
    assert found.harm(higher_is_better=False) == (found.lower - 1, found.upper - 1)
    assert found.harm(higher_is_better=True) == (1 - found.upper, 1 - found.lower)


@pytest.mark.parametrize(("k", "n", "share"), [(3, 2, 0.5), (-1, 2, 0.5), (1, 2, 1.5)])
def test_impossible_stages_are_refused(k: int, n: int, share: float) -> None:
    with pytest.raises(InvalidInput):
        EventStage(k, n, share)
