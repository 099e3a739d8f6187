"""Numbers, times and states as the pages write them. Pure."""

import math
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import NamedTuple

from modelctl.controlplane.judgement.figures import duration
from modelctl.quantity import percent

NOTHING = "–"


class Mark(NamedTuple):
    """A state: its shape, and its tone (good, bad, wait, calm). The word stands beside it, so nothing is told by colour alone."""

    shape: str
    tone: str


_GOOD, _BAD, _WAIT, _CALM, _ODD = Mark("✓", "good"), Mark("✕", "bad"), Mark("◐", "wait"), Mark("○", "calm"), Mark("!", "bad")
MARKS: Mapping[str, Mark] = MappingProxyType(
    {
        # verdicts
        "promote": _GOOD,
        "rollback": _BAD,
        "continue": _WAIT,
        "inconclusive": Mark("?", "wait"),
        "invalid": _ODD,
        "no-data": _CALM,
        # phases
        "progressing": Mark("▶", "wait"),
        "paused": Mark("‖", "calm"),
        "promoted": _GOOD,
        "rolled-back": _BAD,
        "completed": _CALM,
        # findings
        "better": _GOOD,
        "not-worse": _GOOD,
        "equivalent": _GOOD,
        "worse-within-margin": _WAIT,
        "different": _BAD,
        "worse": _BAD,
        "open": _WAIT,
        "shown": _CALM,
        # outcomes
        "ok": _GOOD,
        "client_error": _CALM,
        "backend_error": _BAD,
        "timeout": _BAD,
        "cancelled": _CALM,
        "switched": _CALM,
        # health and agreement
        "up": _GOOD,
        "down": _BAD,
        "silent": _BAD,
        "degraded": _WAIT,
        "ejected": _BAD,
        "unknown": _CALM,
        "equal": _GOOD,
    }
)


def mark(word: str) -> Mark:
    """The shape and tone of a state."""
    return MARKS.get(word, _CALM)


def share(value: float | None) -> str:
    """A share of 1 as a percent with three digits that say something."""
    return NOTHING if value is None else f"{value * 100:.3g}%"


def points(value: float | None) -> str:
    """Basis points as a percent."""
    return NOTHING if value is None else percent(value)


def count(value: float | None) -> str:
    """A count with thousands apart."""
    return NOTHING if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    """Any other number: four digits that say something."""
    return NOTHING if value is None else f"{value:,.4g}" if abs(value) < 10_000 else f"{value:,.0f}"


def latency(microseconds: float | None) -> str:
    """Microseconds in milliseconds: `0.42 ms`, `4.2 ms`, `1,250 ms`."""
    if microseconds is None:
        return NOTHING
    value = microseconds / 1_000
    return f"{value:,.{2 if value < 1 else 1 if value < 100 else 0}f} ms"


def size(value: int) -> str:
    """Bytes in the unit that leaves the fewest digits."""
    for unit, step in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= step:
            return f"{value / step:.3g} {unit}"
    return f"{value} B"


def stamp(microseconds: int) -> str:
    """A Unix time as RFC 3339, to the second, UTC."""
    return _moment(microseconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc(microseconds: int) -> str:
    """A Unix time as people read it, UTC."""
    return _moment(microseconds).strftime("%Y-%m-%d %H:%M:%S UTC")


def relative(microseconds: int, now: int) -> str:
    """`3m 04s ago` or `in 3m 04s`: the same words as app.js writes."""
    gap = (now - microseconds) / 1_000
    if abs(gap) < 1_000:
        return "now"
    return f"{duration(gap)} ago" if gap > 0 else f"in {duration(-gap)}"


def span(milliseconds: float) -> str:
    """A length of time."""
    return duration(milliseconds) if milliseconds >= 1_000 else f"{milliseconds:.0f} ms"


def harm(value: float | None, unit: str) -> str:
    """A bound of a harm, or a margin, with its sign: `+0.31 pt`."""
    if value is None or math.isinf(value):
        return "∞"
    match unit:
        case "points":
            return f"{value * 100:+.3g} pt"
        case "relative":
            return f"{value * 100:+.3g}%"
        case "rate":
            return f"{value * 100:.3g}%"
    return f"{value:+.4g}"


def command(*words: str, **options: str) -> str:
    """What a person types for the same: `modelctl WORDS --option value`; options that are empty are left out."""
    typed = [f"--{name.replace('_', '-')} {shlex.quote(value)}" for name, value in options.items() if value]
    return " ".join(["modelctl", *(shlex.quote(word) for word in words), *typed])


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds / 1_000_000, tz=UTC)
