"""Intervals against a margin, one below the other: the figure in which one glance decides. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from modelctl.controlplane.figures import axis
from modelctl.controlplane.figures.scale import Scale, linear, logarithmic
from modelctl.controlplane.figures.svg import Heading, drawing, element, empty, label, line

LEFT, RIGHT = 216.0, 500.0
TOP, ROW, FOOT = 40.0, 34.0, 50.0
_NAME = 110.0
_SIDES = {"": "fig-mid", "start": "", "end": "fig-end"}


class Proof(StrEnum):
    """What an interval proves: told by the marker's shape, and by the words beside it."""

    WORSE = "worse"
    SAFE = "safe"
    OPEN = "open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """One line: from `lower` to `upper`, None without an end. `detail` stands below its label, `words` beside it."""

    label: str
    lower: float | None
    estimate: float | None
    upper: float | None
    words: str
    proof: Proof = Proof.OPEN
    detail: str = ""
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A line across all intervals: the margin, or no difference."""

    value: float
    label: str
    limit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """All on one scale, in `unit` of `scale.number`. What lies outside `limits` is drawn to the edge, with an arrow."""

    heading: Heading
    title: str
    unit: str
    intervals: tuple[Interval, ...]
    marks: tuple[Mark, ...] = ()
    limits: tuple[float, float] | None = None
    log: bool = False


def draw(forest: Forest) -> str:
    """The figure."""
    if not forest.intervals:
        return empty(forest.heading, "nothing is compared yet")
    across, down = scale_of(forest), _down(forest)
    body = [axis.below(across, down, unit=forest.unit, title=forest.title)]
    body += [_mark(forest.marks, place, across=across, down=down) for place in range(len(forest.marks))]
    body += [_interval(one, across, y=TOP + ROW * (place + 0.5)) for place, one in enumerate(forest.intervals)]
    return drawing(forest.heading, down.end + FOOT, body="".join(body))


def scale_of(forest: Forest) -> Scale:
    """Where its numbers lie on paper."""
    if forest.limits is not None:
        return Scale(low=forest.limits[0], high=forest.limits[1], start=LEFT, end=RIGHT)
    values = [end for one in forest.intervals if one.known for end in (one.lower, one.estimate, one.upper)]
    make = logarithmic if forest.log else linear
    return make([*values, *(mark.value for mark in forest.marks)], start=LEFT, end=RIGHT)


def _down(forest: Forest) -> Scale:
    return Scale(low=0, high=1, start=TOP, end=TOP + ROW * len(forest.intervals) + 4)


def _mark(marks: tuple[Mark, ...], place: int, *, across: Scale, down: Scale) -> str:
    mark, x = marks[place], across.at(marks[place].value)
    class_ = "fig-limit" if mark.limit else "fig-null"
    side = _side(x, [across.at(other.value) for other in marks if other is not mark])
    name = label(
        mark.label, at=(x + (4 if side == "start" else -4 if side else 0), TOP - 12), class_=f"{_SIDES[side]} fig-strong", most=24
    )
    return line((x, TOP - 6), (x, down.end), class_=class_) + name


def _side(x: float, others: list[float]) -> str:
    """The names of marks that lie close lean away from each other."""
    near = [other for other in others if abs(other - x) < _NAME]
    return "" if not near else "start" if x >= max(near) else "end"


def _interval(one: Interval, across: Scale, *, y: float) -> str:
    high = 3 if one.detail else 0
    parts = [label(one.label, at=(0, y + 4 - 2 * high), class_="fig-strong", most=32)]
    if one.detail:
        parts.append(label(one.detail, at=(0, y + 12), class_="fig-mute fig-small", most=38))
    parts.append(label(one.words, at=(RIGHT + 16, y + 4), class_="fig-num", most=27))
    if one.known:
        parts.append(_whisker(one, across, y=y))
    return element("g", *parts, class_=f"fig-{one.proof.value}")


def _whisker(one: Interval, across: Scale, *, y: float) -> str:
    left = across.start if one.lower is None else across.at(one.lower)
    right = across.end if one.upper is None else across.at(one.upper)
    parts = [line((left, y), (right, y), class_="fig-whisker")]
    for value, x, way in ((one.lower, left, -1), (one.upper, right, 1)):
        inside = value is not None and (across.low <= value <= across.high)
        parts.append(line((x, y - 5), (x, y + 5), class_="fig-whisker") if inside else _arrow(x, y, way=way))
    if one.estimate is not None and across.holds(one.estimate):
        parts.append(_marker(one.proof, across.at(one.estimate), y=y))
    return "".join(parts)


def _arrow(x: float, y: float, *, way: int) -> str:
    return element("path", d=f"M{x:.2f} {y:.2f}l{-9 * way} -5v10z", class_="fig-arrow")


def _marker(proof: Proof, x: float, *, y: float) -> str:
    """Worse is a square, safe a disc, open a ring."""
    if proof is Proof.WORSE:
        return element("rect", x=x - 5, y=y - 5, width=10, height=10, class_="fig-dot")
    return element("circle", cx=x, cy=y, r=5, class_="fig-dot" if proof is Proof.SAFE else "fig-ring")
