"""How often each size of difference was seen. Pure."""

from dataclasses import dataclass

from modelctl.controlplane.figures import axis
from modelctl.controlplane.figures.scale import Scale, compact, linear
from modelctl.controlplane.figures.svg import Heading, drawing, element, empty, label, line, words

LEFT, RIGHT = 64.0, 700.0
TOP, BOTTOM, HEIGHT = 34.0, 194.0, 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """`n` values from `low` (included) to `high`."""

    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Histogram:
    """Bins in the order of their values."""

    heading: Heading
    title: str
    unit: str
    bins: tuple[Bin, ...]


def bins_of(values: tuple[float, ...], *, count: int = 41) -> tuple[Bin, ...]:
    """Equal bins over all values, one of them around 0 when 0 is among them."""
    if not values:
        return ()
    low, high = min((*values, 0.0)), max((*values, 0.0))
    if high / count - low / count <= 0:
        return (Bin(low=-0.5, high=0.5, n=len(values)),)
    width = high / (count - 1) - low / (count - 1)
    first = round(low / width)
    counts = [0] * (count + 1)
    for value in values:
        counts[min(max(round(value / width) - first, 0), count)] += 1
    found = [Bin(low=(first + place - 0.5) * width, high=(first + place + 0.5) * width, n=n) for place, n in enumerate(counts)]
    return tuple(found if found[-1].n else found[:-1])


def draw(found: Histogram) -> str:
    """The figure."""
    most = max((one.n for one in found.bins), default=0)
    if not most:
        return empty(found.heading, "no values yet")
    across, up = scales_of(found)
    body = axis.below(across, Scale(low=0, high=1, start=BOTTOM, end=TOP), unit=found.unit, title=found.title)
    body += "".join(_bar(one, across, up=up) for one in found.bins if one.n)
    body += line((across.at(0.0), TOP - 6), (across.at(0.0), BOTTOM), class_="fig-null") if across.holds(0.0) else ""
    body += label(f"most in one bar: {compact(most)}", at=(8, TOP - 16), class_="fig-mute fig-small")
    return drawing(found.heading, HEIGHT, body=body)


def scales_of(found: Histogram) -> tuple[Scale, Scale]:
    """Values from left to right, counts upwards."""
    across = linear([end for one in found.bins for end in (one.low, one.high)], start=LEFT, end=RIGHT, margin=0.01)
    return across, Scale(low=0, high=max(one.n for one in found.bins), start=BOTTOM, end=TOP)


def _bar(one: Bin, across: Scale, *, up: Scale) -> str:
    x, y = across.at(one.low), up.at(one.n)
    said = element("title", words(f"{one.low:.4g} to {one.high:.4g}: {one.n:,}"))
    return element("rect", said, x=x, y=y, width=max(across.at(one.high) - x - 1, 0.5), height=BOTTOM - y, class_="fig-bar")
