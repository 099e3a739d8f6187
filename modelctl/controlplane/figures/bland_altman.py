"""Numbers of the same requests: the difference against the mean of both, with bias and limits (Bland & Altman, 1986). Pure."""

import math
from dataclasses import dataclass

from modelctl.controlplane.figures import axis
from modelctl.controlplane.figures.scale import Scale, linear, number
from modelctl.controlplane.figures.svg import Heading, drawing, element, empty, label, line, number_text

LEFT, RIGHT = 76.0, 600.0
TOP, BOTTOM, HEIGHT = 34.0, 254.0, 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """`points` are (mean of both, candidate - baseline). `bias` is the mean difference, `limits` hold 95 % of the differences."""

    heading: Heading
    points: tuple[tuple[float, float], ...]
    bias: float | None = None
    limits: tuple[float, float] | None = None


def draw(found: Differences) -> str:
    """The figure."""
    points = drawable(found)
    if not points:
        return empty(found.heading, "no numbers of both yet")
    across, up = scales_of(found)
    body = axis.beside(up, across, unit="value", title="candidate - baseline")
    body += axis.below(across, Scale(low=0, high=1, start=BOTTOM, end=TOP), unit="value", title="mean of both")
    dots = "".join(f"M{number_text(across.at(x))} {number_text(up.at(y))}h0" for x, y in points)
    body += element("path", d=dots, class_="fig-dots") + _levels(found, across, up=up)
    return drawing(found.heading, HEIGHT, body=body)


def drawable(found: Differences) -> list[tuple[float, float]]:
    """The points that have a place."""
    return [point for point in found.points if math.isfinite(point[0]) and math.isfinite(point[1])]


def scales_of(found: Differences) -> tuple[Scale, Scale]:
    """Means from left to right, differences upwards; no difference is always on the paper."""
    points = drawable(found)
    ends = (*(found.limits or ()), found.bias, 0.0)
    across = linear([x for x, _ in points], start=LEFT, end=RIGHT)
    return across, linear([*(y for _, y in points), *ends], start=BOTTOM, end=TOP)


def _levels(found: Differences, across: Scale, *, up: Scale) -> str:
    low, high = found.limits or (None, None)
    levels = [(0.0, "fig-null", ""), (found.bias, "fig-line", "mean "), (low, "fig-limit", "2.5% "), (high, "fig-limit", "97.5% ")]
    body, taken = "", -math.inf
    for value, class_, name in sorted((one for one in levels if one[0] is not None), key=lambda one: -(one[0] or 0.0)):
        y = up.at(value or 0.0)
        body += line((across.start, y), (across.end, y), class_=class_)
        if name:
            # Names of levels that lie close stand below each other.
            taken = max(y + 4, taken + 15)
            body += label(f"{name}{number(value or 0.0, 'value')}", at=(across.end + 6, taken), class_="fig-small fig-num", most=18)
    return body
