"""What clocks show in a time zone."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from modelctl.errors import InvalidInput


def minute_of_week(zone: str, at: int) -> int:
    """The minute since Monday, 00:00, on the clocks of `zone` at a Unix millisecond. Raises InvalidInput for an unknown zone."""
    shown = datetime.fromtimestamp(at / 1000, time_zone(zone))
    return (shown.weekday() * 24 + shown.hour) * 60 + shown.minute


def time_zone(zone: str) -> tzinfo:
    """The zone of an IANA name. UTC is known without a database of zones. Raises InvalidInput."""
    if zone == "UTC":
        return UTC
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(
            f"there is no time zone {zone!r} on this machine: write an IANA name such as Europe/Berlin, or UTC"
        ) from None
