"""Times in which traffic is not moved towards a candidate: weekly windows by the clock on a wall, and ranges. Values.

A freeze stops automation, and people unless they say why. Lowering exposure is never frozen.
"""

import re
from collections.abc import Callable, Iterable

import msgspec

from modelctl.errors import InvalidInput

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEK = 7 * 24 * 60
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")

WallClock = Callable[[str, int], int]
"""The minute of the week (0 is Monday, 00:00) that clocks show in a time zone at a Unix millisecond."""


class Weekly(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Opens on each of `days` at `start` (HH:MM in `zone`, an IANA name) and lasts `minutes`, over midnight if need be."""

    days: tuple[str, ...]
    start: str
    minutes: int
    zone: str = "UTC"

    def __post_init__(self) -> None:
        if not self.days or set(self.days) - set(DAYS):
            raise InvalidInput(f"the days of a freeze are some of {', '.join(DAYS)}, not {', '.join(self.days) or 'none'}")
        if not _CLOCK.fullmatch(self.start):
            raise InvalidInput(f"a freeze starts at a time such as 16:00, not at {self.start!r}")
        if not 1 <= self.minutes < WEEK:
            raise InvalidInput(
                f"a weekly freeze lasts from a minute to less than a week ({WEEK} minutes), not {self.minutes} minutes"
            )

    def covers(self, minute: int) -> bool:
        """Whether the minute of the week lies in the window."""
        hours, minutes = self.start.split(":")
        start = int(hours) * 60 + int(minutes)
        return any((minute - DAYS.index(day) * 1440 - start) % WEEK < self.minutes for day in self.days)


class Freeze(msgspec.Struct, frozen=True, kw_only=True):
    """One freeze: `weekly`, or from `from_at` until before `until_at` (Unix ms; 0 is without end). Without a route it is of all."""

    id: int = 0
    route: str | None = None
    weekly: Weekly | None = None
    from_at: int = 0
    until_at: int = 0
    actor: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        if self.weekly is not None and (self.from_at or self.until_at):
            raise InvalidInput("a freeze is weekly or has a beginning and an end: declare one of the two")
        if self.until_at and self.until_at <= self.from_at:
            raise InvalidInput("the end of a freeze must lie behind its beginning")

    def covers(self, at: int, wall: WallClock) -> bool:
        """Whether it holds at a Unix millisecond."""
        if self.weekly is not None:
            return self.weekly.covers(wall(self.weekly.zone, at))
        return self.from_at <= at and (not self.until_at or at < self.until_at)


def active(freezes: Iterable[Freeze], route: str, *, at: int, wall: WallClock) -> Freeze | None:
    """The first freeze that holds for the route at a Unix millisecond."""
    return next((one for one in freezes if one.route in (None, route) and one.covers(at, wall)), None)


def freeze_text(freeze: Freeze) -> str:
    """When it holds, in words."""
    if freeze.weekly is None:
        return "until it is removed" if not freeze.until_at else "for a limited time"
    weekly = freeze.weekly
    return f"{', '.join(weekly.days)} from {weekly.start} for {_lasting(weekly.minutes)} ({weekly.zone})"


def _lasting(minutes: int) -> str:
    """3840 is 2d 16h."""
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "m"))
    return " ".join(f"{number}{unit}" for number, unit in parts if number)
