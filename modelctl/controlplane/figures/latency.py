"""How long answers took: for each duration, the share of requests that were faster. Pure."""

from dataclasses import dataclass

from modelctl.controlplane.figures import axis
from modelctl.controlplane.figures.scale import Scale, logarithmic, number
from modelctl.controlplane.figures.svg import Heading, drawing, empty, label, line, path

LEFT, RIGHT = 64.0, 700.0
BOTTOM, FOOT, LEGEND = 260.0, 46.0, 20.0
_GUIDES = (0.5, 0.9, 0.99)
STYLES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """`points` are (milliseconds, share of requests that took at most so long), both growing."""

    label: str
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latencies:
    """The baseline's curve first: every curve has its own dashes."""

    heading: Heading
    curves: tuple[Curve, ...]


def draw(found: Latencies) -> str:
    """The figure."""
    curves = [one for one in found.curves if one.points]
    if not curves:
        return empty(found.heading, "no answers yet")
    across, up = scales_of(found)
    body = axis.below(across, Scale(low=0, high=1, start=up.start, end=up.end), unit="ms", title="milliseconds, logarithmic")
    for share in _GUIDES:
        y = up.at(share)
        body += line((LEFT, y), (RIGHT, y), class_="fig-grid")
        body += label(f"{number(share, 'share')}", at=(LEFT - 8, y + 4), class_="fig-num fig-end")
    for place, curve in enumerate(curves):
        body += path(steps(curve, across, up=up), class_=f"fig-line fig-dash{place % STYLES}")
        y = LEGEND * (place + 1) - 6
        body += line((LEFT, y - 4), (LEFT + 36, y - 4), class_=f"fig-line fig-dash{place % STYLES}")
        body += label(curve.label, at=(LEFT + 44, y), class_="fig-strong", most=80)
    return drawing(found.heading, up.start + FOOT, body=body)


def scales_of(found: Latencies) -> tuple[Scale, Scale]:
    """Milliseconds from left to right, shares upwards; the legend stands above."""
    legend = LEGEND * len(found.curves) + 8
    across = logarithmic([ms for one in found.curves for ms, _ in one.points], start=LEFT, end=RIGHT)
    return across, Scale(low=0.0, high=1.0, start=BOTTOM + legend - 60, end=legend)


def steps(curve: Curve, across: Scale, *, up: Scale) -> list[tuple[float, float]]:
    """The curve as stairs: it rises where values are, and nowhere else."""
    found = [(across.at(curve.points[0][0]) if curve.points[0][0] > 0 else across.start, up.at(0.0))]
    for ms, share in curve.points:
        x = across.at(ms) if ms > 0 else across.start
        found += [(x, found[-1][1]), (x, up.at(share))]
    return found
