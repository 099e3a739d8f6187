"""The interval over time, with the margin, the stages and the moment that something was proven. Pure."""

from dataclasses import dataclass

from modelctl.controlplane.figures import axis
from modelctl.controlplane.figures.scale import Scale, linear, number
from modelctl.controlplane.figures.svg import Heading, cut, drawing, element, empty, label, line, path, words

LEFT, RIGHT = 72.0, 700.0
TOP, BOTTOM, HEIGHT = 56.0, 250.0, 292.0
_LETTER = 6.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """The interval at Unix millisecond `at`; None is an end that is infinite."""

    at: float
    lower: float | None
    estimate: float | None
    upper: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that began at Unix millisecond `at`: a stage."""

    at: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """The looks in the order of time. `margin` is the harm that is tolerated, `null` no difference, `proven` the first crossing."""

    heading: Heading
    title: str
    unit: str
    looks: tuple[Look, ...]
    stages: tuple[Moment, ...] = ()
    null: float | None = None
    margin: float | None = None
    proven: Moment | None = None


def draw(course: Course) -> str:
    """The figure."""
    if not course.looks:
        return empty(course.heading, "no interval yet")
    across, up = scales_of(course)
    body = [
        axis.beside(up, across, unit=course.unit, title=course.title),
        axis.time_below(across, Scale(low=0, high=1, start=BOTTOM, end=TOP)),
        _band(course, across, up=up),
        _levels(course, across, up=up),
        _stages(course, across),
    ]
    if course.proven is not None:
        body.append(_proven(course.proven, across))
    return drawing(course.heading, HEIGHT, body="".join(body))


def scales_of(course: Course) -> tuple[Scale, Scale]:
    """Time from left to right and values upwards. The first quarter may leave the paper: there intervals are widest."""
    times = [look.at for look in course.looks]
    low, high = min(times), max(times)
    across = Scale(low=low, high=high if high > low else low + 60_000, start=LEFT, end=RIGHT)
    late = course.looks[len(course.looks) // 4 :]
    ends = [end for look in late for end in (look.lower, look.estimate, look.upper)]
    return across, linear([*ends, course.null, course.margin], start=BOTTOM, end=TOP)


def _band(course: Course, across: Scale, *, up: Scale) -> str:
    upper = [(across.at(look.at), up.at(up.high if look.upper is None else look.upper)) for look in course.looks]
    lower = [(across.at(look.at), up.at(up.low if look.lower is None else look.lower)) for look in course.looks]
    middle = [(across.at(look.at), up.at(look.estimate)) for look in course.looks if look.estimate is not None]
    if len(course.looks) == 1:
        # One look has no width: its interval is an upright line.
        return line(lower[0], upper[0], class_="fig-whisker") + "".join(
            element("circle", cx=x, cy=y, r=4, class_="fig-dot") for x, y in middle
        )
    band = path([*upper, *reversed(lower)], class_="fig-band", closed=True)
    ends = path(upper, class_="fig-edge") + path(lower, class_="fig-edge")
    return band + ends + path(middle, class_="fig-line")


def _levels(course: Course, across: Scale, *, up: Scale) -> str:
    found = ""
    for value, class_, name in ((course.null, "fig-null", "no difference"), (course.margin, "fig-limit", "margin")):
        if value is not None:
            y = up.at(value)
            said = f"{name} {number(value, course.unit)}"
            found += line((across.start, y), (across.end, y), class_=class_)
            found += label(said, at=(across.end - 4, y - 5), class_=f"fig-end fig-small fig-strong {class_}-t")
    return found


def _stages(course: Course, across: Scale) -> str:
    """Every stage has its line and number; its name stands there where it does not run into the next."""
    found, free = "", 0.0
    for place, stage in enumerate(course.stages, 1):
        x = across.at(stage.at)
        said = cut(f"{place} {stage.label}", 34)
        found += element(
            "g", element("title", words(stage.label)), line((x, TOP - 4), (x, BOTTOM), class_="fig-stage"), class_="fig-stages"
        )
        width = len(said) * _LETTER
        start = min(x, across.end - width)
        if start >= free:
            found += label(said, at=(start, TOP - 40), class_="fig-small")
            free = start + width + 10
    return found


def _proven(moment: Moment, across: Scale) -> str:
    x = across.at(moment.at)
    left = x < (across.start + across.end) / 2
    return line((x, TOP), (x, BOTTOM), class_="fig-proven") + label(
        moment.label, at=(x + (6 if left else -6), TOP + 12), class_=f"fig-strong fig-small{'' if left else ' fig-end'}", most=60
    )
