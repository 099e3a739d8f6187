"""From requests to pairs: how many reached each stage, and why the others did not. Pure."""

from dataclasses import dataclass

from modelctl.controlplane.figures.svg import WIDTH, Heading, drawing, element, empty, label

LEFT, LONGEST = 96.0, 420.0
ROW, BAR, LOSS = 34.0, 20.0, 18.0
TOP = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`n` requests came so far. `losses` say how many did not, and why."""

    name: str
    n: int
    losses: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Funnel:
    """The stages in their order."""

    heading: Heading
    stages: tuple[Stage, ...]


def draw(funnel: Funnel) -> str:
    """The figure."""
    most = max((stage.n for stage in funnel.stages), default=0)
    if not most:
        return empty(funnel.heading, "no request has come so far")
    body, y = "", TOP
    for stage in funnel.stages:
        body += _stage(stage, y, most=most)
        y += ROW
        for n, reason in stage.losses:
            body += label(f"− {n:,}  {reason}", at=(LEFT + 8, y + 2), class_="fig-mute fig-small", most=92)
            y += LOSS
    return drawing(funnel.heading, y + 4, body=body)


def width_of(n: int, most: int) -> float:
    """How long a bar is; one request of a billion is still seen."""
    return max(LONGEST * n / most, 1.5) if n > 0 else 0.0


def _stage(stage: Stage, y: float, *, most: int) -> str:
    width = width_of(stage.n, most)
    bar = element("rect", x=LEFT, y=y, width=width, height=BAR, rx=2, class_="fig-bar") if width else ""
    text = f"{stage.n:,} ({100 * stage.n / most:.3g}%)"
    count = label(text, at=(min(LEFT + width + 8, WIDTH - 150), y + 15), class_="fig-num fig-strong", most=34)
    return label(stage.name, at=(LEFT - 10, y + 15), class_="fig-end", most=14) + bar + count
