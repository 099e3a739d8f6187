"""Which requests the clients send, and when."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.demo.plan import FEEDBACK_DELAY, planned


@given(rows=st.integers(1, 40), rate=st.floats(0.5, 200), seconds=st.floats(0.01, 5), seed=st.integers())
def test_a_plan_is_bounded_ordered_and_repeatable(rows: int, rate: float, *, seconds: float, seed: int) -> None:
    plan = list(planned(rows, rate=rate, seconds=seconds, seed=seed))
    assert plan == list(planned(rows, rate=rate, seconds=seconds, seed=seed))
    assert all(0 <= request.at < seconds for request in plan)
    assert all(one.at <= other.at for one, other in pairwise(plan))
    assert all(FEEDBACK_DELAY[0] <= request.feedback_after <= FEEDBACK_DELAY[1] for request in plan)
    for start in range(0, len(plan) - rows + 1, rows):
        assert {request.row for request in plan[start : start + rows]} == set(range(rows))


def test_requests_come_at_the_rate_that_was_asked_for() -> None:
    assert len(list(planned(284, rate=20, seconds=1800, seed=1))) == pytest.approx(36_000, rel=0.03)


def test_another_seed_sends_other_requests() -> None:
    assert list(planned(284, rate=20, seconds=5, seed=1)) != list(planned(284, rate=20, seconds=5, seed=2))


def test_a_user_is_always_the_same_row() -> None:
    plan = list(planned(30, rate=100, seconds=10, seed=3))
    assert len({(request.user, request.row) for request in plan}) == 30
