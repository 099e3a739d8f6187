"""Percents, durations and ladders as people type them, the same on a command line and in a form.

A percent is kept in basis points (hundredths of a percent): 10,000 is all.
"""

import re
from collections.abc import Sequence
from typing import Any

from modelctl.errors import InvalidInput
from modelctl.traffic import ALL

_PERCENT = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))?%?", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,9})(ms|[smhd])", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}


def basis_points(text: str) -> int:
    """The basis points of `5`, `5%` or `0.1%`, from 0 to 10,000. Raises InvalidInput for anything finer than 0.01 %."""
    found = _PERCENT.fullmatch(text)
    if not found:
        raise InvalidInput(f"{text!r} is no percent: write 5, 5% or 0.1%")
    parts = (found[2] or "").ljust(2, "0")
    points = int(found[1]) * 100 + int(parts[:2])
    if points > ALL or (points == ALL and parts[2:].strip("0")):
        raise InvalidInput(f"{text!r} is more than 100%")
    if parts[2:].strip("0"):
        raise InvalidInput(f"{text!r} is too fine: the smallest share is 0.01%")
    return points


def percent(points: float | None) -> str:
    """Basis points as `5%`, `0.1%` or `33.33%`; `-` when there is nothing to show."""
    return "-" if points is None else f"{points / 100:.2f}".rstrip("0").rstrip(".") + "%"


def shares(parts: Sequence[str]) -> dict[str, int]:
    """The basis points by backend of `a=50 b=30 c=20`. Raises InvalidInput, also when they do not add up to all."""
    found: dict[str, int] = {}
    for part in parts:
        name, equals, share = part.partition("=")
        if not name or not equals:
            raise InvalidInput(f"{part!r} is no share: write BACKEND=PERCENT, such as fraud-v7=50")
        if name in found:
            raise InvalidInput(f"backend {name!r} has two shares: name each backend once")
        found[name] = basis_points(share)
    if sum(found.values()) != ALL:
        raise InvalidInput(f"the shares add up to {percent(sum(found.values()))}: make them 100%")
    return found


def rungs(percent: str | None, steps: str | None) -> dict[str, Any]:
    """The ladder of a canary, as its parameters: `5` and `20!,50`, where `!` keeps automation from going on by itself.

    Without a percent the first step is it; empty when neither is given. Raises InvalidInput.
    """
    later = [part.strip() for part in steps.split(",")] if steps else []
    typed = later if percent is None else [percent, *later]
    points = [basis_points(rung.removesuffix("!")) for rung in typed]
    held = [share for share, rung in zip(points, typed, strict=True) if rung.endswith("!")]
    found = {"percent_bp": points[:1], "steps_bp": points[1:], "holds_bp": held}
    return {name: value[0] if name == "percent_bp" else value for name, value in found.items() if value}


def seconds(text: str) -> float:
    """The seconds of `500ms`, `30s`, `10m`, `7d` or `1h30m`. Raises InvalidInput."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidInput(f"{text!r} is no duration: write 30s, 10m, 2h or 7d")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)


def whole_milliseconds(text: str) -> int:
    """The milliseconds of a duration, such as 500ms or 1h30m. Raises InvalidInput."""
    return round(seconds(text) * 1_000)
