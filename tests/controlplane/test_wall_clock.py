"""What clocks show in a time zone."""

from datetime import UTC, datetime

import pytest

from modelctl.controlplane.automation.wall_clock import minute_of_week
from modelctl.errors import InvalidInput


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "moment", "minute"),
    [
        ("UTC", "2026-11-16T00:00:59", 0),
        ("UTC", "2026-11-22T23:59:00", 7 * 1440 - 1),
        ("Europe/Berlin", "2026-11-15T23:00:00", 0),  # one hour ahead in winter
        ("Europe/Berlin", "2026-07-05T22:00:00", 0),  # and two in summer
        ("America/New_York", "2026-11-16T04:59:00", 7 * 1440 - 1),
    ],
)
def test_the_minute_of_the_week_is_that_of_the_zones_clocks(zone: str, moment: str, minute: int) -> None:
    assert minute_of_week(zone, at(moment)) == minute


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "/etc/passwd"])
def test_a_zone_that_is_not_there_is_refused(zone: str) -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        minute_of_week(zone, 0)
