"""SVG as text: elements, escaped words, and the frame that every figure has. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 720
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]")
_BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_NOT_ID = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a figure is called and what it says. `name` is its id, unique in a page."""

    name: str
    title: str
    description: str


def element(tag: str, *children: str, **attributes: str | float) -> str:
    """An element; `class_` is class and `stroke_width` stroke-width. Children are SVG already: words go through `words`."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{_value(value)}"' for key, value in attributes.items())
    inside = "".join(children)
    return f"<{tag}{given}>{inside}</{tag}>" if inside else f"<{tag}{given}/>"


def words(text: str) -> str:
    """Any text as character data."""
    return "".join(_ESCAPES.get(letter, letter) for letter in plain(text))


def plain(text: str) -> str:
    """What XML forbids is U+FFFD, and nothing is left that turns the direction of what follows."""
    return _BIDI.sub("\ufffd", _NOT_XML.sub("\ufffd", text))


def holdable(value: object) -> object:
    """What a template writes, `plain` where it is text; a figure is markup already."""
    return plain(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def label(text: str, *, at: tuple[float, float], class_: str = "", most: int = 0) -> str:
    """Words at a place, of at most `most` characters; the whole of them shows as the tooltip."""
    shown = cut(text, most) if most else text
    whole = element("title", words(text)) if shown != text else ""
    return element("text", words(shown), whole, x=at[0], y=at[1], class_=f"fig-t {class_}".strip())


def line(start: tuple[float, float], end: tuple[float, float], *, class_: str) -> str:
    """A straight line."""
    return element("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_)


def path(points: Sequence[tuple[float, float]], *, class_: str, closed: bool = False) -> str:
    """A line through the points; nothing without any."""
    if not points:
        return ""
    steps = "L".join(f"{number_text(x)} {number_text(y)}" for x, y in points)
    return element("path", d=f"M{steps}{'Z' if closed else ''}", class_=class_)


def cut(text: str, most: int) -> str:
    """At most `most` characters, on one line."""
    single = " ".join(text.split()) if text.split() else text
    return single if len(single) <= most else f"{single[: most - 1]}…"


def drawing(heading: Heading, height: float, *, body: str) -> str:
    """The figure: as wide as its page lets it be, always of the same proportions."""
    name = _NOT_ID.sub("-", heading.name) or "figure"
    return element(
        "svg",
        element("title", words(heading.title), id=f"{name}-title"),
        element("desc", words(heading.description), id=f"{name}-desc"),
        body,
        xmlns="http://www.w3.org/2000/svg",
        class_="fig",
        viewBox=f"0 0 {WIDTH} {number_text(height)}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


def empty(heading: Heading, reason: str) -> str:
    """The figure of what there is nothing to draw of."""
    return drawing(heading, 48, body=label(reason, at=(8, 28), class_="fig-mute", most=100))


def number_text(number: float) -> str:
    """A coordinate, to a hundredth."""
    text = f"{number:.2f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def _value(value: str | float) -> str:
    return words(value) if isinstance(value, str) else number_text(value)
