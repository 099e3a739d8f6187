"""Axes: lines across the plot with a number at each, and the name of what they measure. Pure."""

from modelctl.controlplane.figures.scale import Scale, clock, number, ticks, time_ticks
from modelctl.controlplane.figures.svg import WIDTH, label, line

_DAY = 86_400_000


def below(scale: Scale, across: Scale, *, unit: str, title: str) -> str:
    """The axis of `scale`, which runs from left to right, at the foot of `across`."""
    return _below(scale, across, marks=[(tick, number(tick, unit)) for tick in ticks(scale)], title=title)


def time_below(scale: Scale, across: Scale) -> str:
    """The same for Unix milliseconds."""
    days = scale.high - scale.low > _DAY
    return _below(scale, across, marks=[(tick, clock(tick, days=days)) for tick in time_ticks(scale)], title="time (UTC)")


def beside(scale: Scale, across: Scale, *, unit: str, title: str) -> str:
    """The axis of `scale`, which runs from the foot upwards, left of `across`."""
    parts = [label(title, at=(8, scale.end - 14), class_="fig-mute")]
    for tick in ticks(scale):
        y = scale.at(tick)
        parts.append(line((across.start, y), (across.end, y), class_="fig-grid"))
        parts.append(label(number(tick, unit), at=(across.start - 8, y + 4), class_="fig-num fig-end"))
    return "".join(parts)


def _below(scale: Scale, across: Scale, *, marks: list[tuple[float, str]], title: str) -> str:
    foot = max(across.start, across.end)
    parts = [line((scale.start, foot), (scale.end, foot), class_="fig-axis")]
    for tick, words in marks:
        x = scale.at(tick)
        parts.append(line((x, min(across.start, across.end)), (x, foot), class_="fig-grid"))
        # A name at the edge of the paper would be cut.
        middle = min(max(x, 18.0), WIDTH - 22.0)
        parts.append(label(words, at=(middle, foot + 18), class_="fig-num fig-mid"))
    parts.append(label(title, at=((scale.start + scale.end) / 2, foot + 36), class_="fig-mute fig-mid"))
    return "".join(parts)
