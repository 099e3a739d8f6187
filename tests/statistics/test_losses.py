import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.losses import absolute_error, brier, compare, log_loss, squared_error

ROWS = st.lists(st.tuples(st.sampled_from([0, 1]), st.floats(0, 1), st.floats(0, 1)), max_size=30)


@given(ROWS)
def test_no_probability_costs_more_than_the_clip_allows(rows: list[tuple[int, float, float]]) -> None:
    for truth, p, _ in rows:
        assert 0 <= log_loss(truth, p) < 34.54
        assert 0 <= brier(truth, p) <= 1


@given(ROWS)
def test_swapping_the_arms_negates_the_difference_and_nothing_is_nan(rows: list[tuple[int, float, float]]) -> None:
    a, b = ([log_loss(row[0], row[arm]) for row in rows] for arm in (1, 2))
    there, back = compare(a, b), compare(b, a)
    assert (there.baseline, there.candidate) == (back.candidate, back.baseline)
    assert there.difference.state is back.difference.state
    if there.difference.estimate is not None:
        assert there.difference.estimate == pytest.approx(-(back.difference.estimate or 0.0), abs=1e-12)
        assert there.difference.estimate == pytest.approx((there.candidate or 0.0) - (there.baseline or 0.0), abs=1e-9)


def test_a_confident_miss_dominates_log_loss_and_not_brier() -> None:
    careful, bold = [0.6] * 100, [*[0.999] * 99, 0.0]
    by_log_loss = compare([log_loss(1, p) for p in careful], [log_loss(1, p) for p in bold])
    by_brier = compare([brier(1, p) for p in careful], [brier(1, p) for p in bold])
    assert log_loss(1, 0.0) == pytest.approx(34.5388, abs=1e-4)
    assert (by_log_loss.candidate or 0.0) > 0.34
    assert (by_brier.candidate or 0.0) == pytest.approx(0.01, abs=1e-4)
    assert (by_brier.difference.p or 1.0) < 1e-9


def test_right_and_certain_costs_nothing() -> None:
    assert log_loss(1, 1.0) == pytest.approx(0, abs=2e-15)
    assert log_loss(0, 0.0) == pytest.approx(0, abs=2e-15)
    assert brier(0, 0.0) == brier(1, 1.0) == 0


def test_errors_of_numbers_are_their_distance() -> None:
    assert absolute_error(3.0, 1.0) == absolute_error(1.0, 3.0) == 2
    assert squared_error(3.0, 1.0) == 4


@pytest.mark.parametrize(("rows", "state"), [(0, State.NO_DATA), (1, State.NO_DATA), (5, State.DEGENERATE)])
def test_few_rows_or_equal_losses_have_no_test(rows: int, state: State) -> None:
    found = compare([0.5] * rows, [0.25] * rows)
    assert (found.difference.state, found.difference.p) == (state, None)
    assert (found.baseline, found.candidate) == ((0.5, 0.25) if rows else (None, None))


@pytest.mark.parametrize(("truth", "p"), [(2, 0.5), (1, 1.5), (1, -0.1), (math.nan, 0.5), (1, math.nan)])
def test_what_is_no_probability_is_refused(truth: float, p: float) -> None:
    for loss in (log_loss, brier):
        with pytest.raises(InvalidInput, match="between 0 and 1"):
            loss(truth, p)


def test_losses_of_different_rows_or_without_end_are_refused() -> None:
    with pytest.raises(InvalidInput, match="pairs"):
        compare([1.0], [])
    with pytest.raises(InvalidInput, match="finite"):
        compare([math.inf, 1.0], [1.0, 1.0])
