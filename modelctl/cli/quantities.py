"""Percents, durations and numbers as people type and read them.

A percent is kept in basis points (hundredths of a percent): 10,000 is all.
"""

import re
from datetime import UTC, datetime, timedelta

from modelctl.errors import InvalidInput
from modelctl.quantity import basis_points as basis_points
from modelctl.quantity import percent as percent
from modelctl.quantity import seconds as seconds
from modelctl.quantity import shares as shares
from modelctl.quantity import whole_milliseconds as whole_milliseconds

_SIZE = re.compile(r"([0-9]{1,16})(KiB|MiB|GiB)?", re.ASCII)
_BYTES = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


def ladder(text: str) -> list[int]:
    """The basis points of `5,25,50`. Raises InvalidInput."""
    return [basis_points(part.strip()) for part in text.split(",")]


def instant(text: str, now: float) -> int:
    """The Unix microsecond of `7d` (so long before Unix second `now`), `2026-01-31` or `2026-01-31T12:00:00Z`.

    A time without a zone is that of this machine. Raises InvalidInput.
    """
    try:
        ago = seconds(text)
    except InvalidInput:
        return _written_instant(text)
    return max(0, int((now - ago) * 1_000_000))


def _written_instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text).astimezone(UTC)
        since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(f"{text!r} is no time: write 7d for seven days ago, 2026-01-31 or 2026-01-31T12:00:00Z") from None
    return max(0, since // timedelta(microseconds=1))


def size(text: str) -> int:
    """The bytes of `10MiB`, `64KiB`, `1GiB` or `4096`. Raises InvalidInput."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"{text!r} is no size: write 64KiB, 10MiB, 1GiB, or a number of bytes")
    return int(match[1]) * _BYTES[match[2] or ""]


def shown_size(value: int) -> str:
    """Bytes in the largest unit that gives a whole number: `10MiB`, `4097`."""
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if value and value % _BYTES[unit] == 0), "")
    return f"{value // _BYTES[unit]}{unit}"


def shown_duration(milliseconds: int) -> str:
    """Milliseconds as people would type them: `1m 30s`, `2.5s`."""
    return duration(milliseconds / 1_000) if milliseconds % 1_000 == 0 else f"{milliseconds / 1_000:g}s"


def ration(text: str) -> tuple[int, int]:
    """The requests and seconds of `100/60s`, `5/s` or `1000/1h`. Raises InvalidInput."""
    requests, slash, period = text.partition("/")
    length = seconds(period if period[:1].isdigit() else f"1{period}") if slash else 0
    if not (requests.isascii() and requests.isdigit() and len(requests) < 10) or length < 1 or length != int(length):
        raise InvalidInput(f"{text!r} is no rate: write requests/time in whole seconds, such as 100/60s, 5/s or 1000/1h")
    return int(requests), int(length)


def duration(value: float | None) -> str:
    """Seconds in the two largest units that say something: `45s`, `3m 4s`, `7d 2h`."""
    if value is None:
        return "-"
    rest = int(value)
    parts = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or f"{value:.1f}s"


def milliseconds(value: float | None) -> str:
    """A latency with three digits that say something: `0.42 ms`, `4.2 ms`, `1,250 ms`."""
    if value is None:
        return "-"
    decimals = 2 if abs(value) < 1 else 1 if abs(value) < 100 else 0
    return f"{value:,.{decimals}f} ms"


def count(value: float | None) -> str:
    """A count with thousands apart."""
    return "-" if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """Any other number: four digits that say something."""
    return "-" if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """A fraction as a percent with two decimals."""
    return "-" if value is None else f"{value:.2%}"


def moment(microseconds: float | None) -> str:
    """A Unix time in microseconds as local time; `-` for none."""
    if not microseconds:
        return "-"
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
