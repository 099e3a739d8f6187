"""When a freeze holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.errors import InvalidInput
from modelctl.freeze import DAYS, WEEK, Freeze, Weekly, active, freeze_text

AT = 1_700_000_000_000


def on_the_wall(zone: str, at: int) -> int:
    """A wall whose clocks show Friday 16:00 in UTC and Friday 17:00 elsewhere."""
    return 4 * 1440 + (16 if zone == "UTC" else 17) * 60


@pytest.mark.parametrize(
    ("weekly", "holds"),
    [
        (Weekly(days=("fri",), start="16:00", minutes=1), True),
        (Weekly(days=("fri",), start="15:59", minutes=1), False),
        (Weekly(days=("fri",), start="16:01", minutes=60), False),
        (Weekly(days=("thu",), start="22:00", minutes=18 * 60 + 1), True),
        (Weekly(days=("thu",), start="22:00", minutes=18 * 60), False),
        (Weekly(days=("sat",), start="16:01", minutes=WEEK - 1), True),
        (Weekly(days=("mon", "fri"), start="12:00", minutes=300), True),
        (Weekly(days=("fri",), start="17:00", minutes=60, zone="Europe/Berlin"), True),
        (Weekly(days=("fri",), start="16:00", minutes=60, zone="Europe/Berlin"), False),
    ],
)
def test_a_weekly_freeze_holds_by_the_clock_of_its_zone(weekly: Weekly, holds: bool) -> None:
    assert (active([Freeze(weekly=weekly)], "fraud", at=AT, wall=on_the_wall) is not None) is holds


@given(days=st.sets(st.sampled_from(DAYS), min_size=1), hour=st.integers(0, 23), minutes=st.integers(1, WEEK - 1))
def test_a_weekly_freeze_on_one_day_holds_as_many_minutes_as_it_says(days: set[str], hour: int, minutes: int) -> None:
    weekly = Weekly(days=tuple(sorted(days)), start=f"{hour:02}:00", minutes=minutes)
    held = sum(weekly.covers(minute) for minute in range(WEEK))
    assert minutes <= held <= min(WEEK, minutes * len(days))


@pytest.mark.parametrize(
    ("freeze", "holds"),
    [
        (Freeze(), True),
        (Freeze(from_at=AT), True),
        (Freeze(from_at=AT + 1), False),
        (Freeze(until_at=AT), False),
        (Freeze(until_at=AT + 1), True),
        (Freeze(route="fraud"), True),
        (Freeze(route="other"), False),
    ],
)
def test_a_freeze_holds_in_its_range_and_for_its_route(freeze: Freeze, holds: bool) -> None:
    assert (active([freeze], "fraud", at=AT, wall=on_the_wall) is not None) is holds


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Weekly(days=(), start="16:00", minutes=1), "the days of a freeze"),
        (lambda: Weekly(days=("friday",), start="16:00", minutes=1), "the days of a freeze"),
        (lambda: Weekly(days=("fri",), start="24:00", minutes=1), "starts at a time"),
        (lambda: Weekly(days=("fri",), start="16:00", minutes=WEEK), "less than a week"),
        (lambda: Freeze(from_at=2, until_at=2), "must lie behind"),
        (lambda: Freeze(weekly=Weekly(days=("fri",), start="16:00", minutes=1), until_at=2), "declare one of the two"),
    ],
)
def test_a_freeze_that_cannot_be_is_refused(make: object, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        make()  # type: ignore[operator]


def test_a_freeze_says_when_it_holds() -> None:
    weekly = Weekly(days=("fri", "sat"), start="16:00", minutes=90, zone="Europe/Berlin")
    assert freeze_text(Freeze(weekly=weekly)) == "fri, sat from 16:00 for 1h 30m (Europe/Berlin)"
    assert freeze_text(Freeze()) == "until it is removed"
