"""From numbers to places on paper, and the round numbers that stand beside an axis. Pure."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

_HUGE, _TINY = 1e290, 1e-290
_LOG_END = 1e120
_STEPS = (1.0, 2.0, 5.0, 10.0)
_MINUTE = 60_000
_TIMES = tuple(_MINUTE * n for n in (1, 2, 5, 10, 20, 30, 60, 120, 240, 360, 720, 1440, 2880, 7200, 14400, 43200, 144000, 525600))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """`low` to `high`, which differ, is `start` to `end` on paper; what lies outside is at the ends. `log` wants low above 0."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where the value is."""
        low, high = self._measured(self.low), self._measured(self.high)
        part = (self._measured(min(max(value, self.low), self.high)) - low) / (high - low)
        return self.start + min(max(part, 0.0), 1.0) * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether the value lies between the ends."""
        return self.low <= value <= self.high

    def _measured(self, value: float) -> float:
        return math.log10(value) if self.log else value


def usable(values: Iterable[float | None]) -> list[float]:
    """Those that can be drawn: finite, what is too small for arithmetic as 0."""
    found = [value for value in values if value is not None and math.isfinite(value)]
    return [0.0 if abs(value) < _TINY else max(-_HUGE, min(_HUGE, value)) for value in found]


def linear(values: Iterable[float | None], *, start: float, end: float, margin: float = 0.06) -> Scale:
    """A scale that holds all finite values with some room; 0 to 1 without any."""
    found = usable(values)
    if not found:
        return Scale(low=0.0, high=1.0, start=start, end=end)
    low, high = min(found), max(found)
    size = max(abs(low), abs(high))
    room = (high - low) * margin if high - low > size * 1e-9 else (size * 0.1 or 0.5)
    return Scale(low=low - room, high=high + room, start=start, end=end)


def logarithmic(values: Iterable[float | None], *, start: float, end: float) -> Scale:
    """The same for values above 0; others are left out. 1 to 10 without any."""
    found = [min(max(value, 1 / _LOG_END), _LOG_END) for value in usable(values) if value > 0]
    low, high = (min(found), max(found)) if found else (1.0, 10.0)
    if high / low < 1.2:
        low, high = low / 1.2, high * 1.2
    room = (high / low) ** 0.04
    return Scale(low=low / room, high=high * room, start=start, end=end, log=True)


def ticks(scale: Scale, count: int = 5) -> list[float]:
    """Round numbers within the scale, about `count`."""
    return _log_ticks(scale, count) if scale.log else _linear_ticks(scale, count)


def time_ticks(scale: Scale, count: int = 6) -> list[float]:
    """Round times within a scale of Unix milliseconds."""
    width = (scale.high - scale.low) / count
    step = next((time for time in _TIMES if time >= width), _TIMES[-1] * math.ceil(width / _TIMES[-1]))
    first = math.ceil(scale.low / step)
    return [float(number * step) for number in range(first, math.floor(scale.high / step) + 1)]


def number(value: float, unit: str) -> str:
    """A number beside an axis: `share` and `relative` as percent, `points` of a share, `ratio` as a factor, `ms`, else as it is."""
    match unit:
        case "share" | "relative" | "rate":
            return f"{_short(value * 100)}%"
        case "points":
            return f"{_short(value * 100)} pt"
        case "ratio":
            return f"{_short(value)}×"
        case "ms":
            return f"{_short(value / 1000)} s" if value >= 1000 else f"{_short(value)} ms"
        case "margin":
            return "margin" if value == 1 else f"{_short(value)}"
    return _short(value)


def clock(milliseconds: float, *, days: bool) -> str:
    """A time (UTC) beside an axis; with its day where the axis is longer than one."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).strftime("%d %b %H:%M" if days else "%H:%M")


def compact(count: int) -> str:
    """A count in few characters: 950, 12.3k, 4M."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if abs(count) >= size:
            return f"{count / (1000 if letter == 'k' else size):.3g}{letter}"
    return str(count)


def _linear_ticks(scale: Scale, count: int) -> list[float]:
    width = (scale.high - scale.low) / count
    power = 10.0 ** math.floor(math.log10(width))
    step = next(step * power for step in _STEPS if step * power >= width * (1 - 1e-12))
    first, last = math.ceil(scale.low / step - 1e-9), math.floor(scale.high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _log_ticks(scale: Scale, count: int) -> list[float]:
    low, high = math.floor(math.log10(scale.low)), math.ceil(math.log10(scale.high))
    if high - low > count:
        return [10.0**power for power in range(low, high + 1, math.ceil((high - low) / count)) if scale.holds(10.0**power)]
    factors = (1.0, 2.0, 5.0) if high - low <= 3 else (1.0,)
    found = [factor * 10.0**power for power in range(low, high + 1) for factor in factors]
    found = [tick for tick in found if scale.holds(tick)]
    # Less than an octave holds no round number of this kind.
    return found if len(found) > 1 else _linear_ticks(Scale(low=scale.low, high=scale.high, start=0, end=1), count)


def _short(value: float) -> str:
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    mantissa, _, power = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}"
