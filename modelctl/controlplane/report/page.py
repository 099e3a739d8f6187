"""The report as one HTML page that asks nothing of any network: style and figures are in it, scripts are not.

What came from clients and models is text to the template, which escapes all of it. A page is below LIMIT bytes: what makes it
larger, the requests and the commands to ask them again, gets less room until it is.
"""

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from modelctl.controlplane.figures.style import STYLE as FIGURE_STYLE
from modelctl.controlplane.figures.svg import holdable
from modelctl.controlplane.report.content import Report
from modelctl.controlplane.report.drawn import Drawn, age, moment
from modelctl.controlplane.report.interval_drawings import slice_forest
from modelctl.controlplane.report.parts import parts_of
from modelctl.controlplane.report.standing_out import StandsOut

LIMIT = 400_000
_OUT = "The bar is what is still possible of this slice, at any look; that it stands out is found among all slices together."
_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How many of the worst disagreements are shown, whether with the commands that ask again, and how many rows of a table."""

    worst: int
    commands: bool
    rows: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Standout:
    """A slice that stands out, and its figure."""

    value: StandsOut
    drawn: Drawn


ROOMS = (
    Room(worst=10, commands=True),
    Room(worst=3, commands=True),
    Room(worst=3, commands=False),
    Room(worst=0, commands=False, rows=20),
)


def page(report: Report, *, back: str = "") -> str:
    """The whole page, below LIMIT bytes of UTF-8 unless names alone are longer. `back` is where it was opened from."""
    text = ""
    for room in ROOMS:
        text = render(report, room, back=back)
        if len(text.encode()) < LIMIT:
            break
    return text


def render(report: Report, room: Room, *, back: str = "") -> str:
    """The page with so much room."""
    standouts = [
        Standout(value=one, drawn=slice_forest([one.slice], name=f"out-figure-{place}", caption=_OUT))
        for place, one in enumerate(report.standing_out.first)
    ]
    return _TEMPLATES.get_template("report.html").render(
        report=report,
        back=back,
        room=room,
        parts=parts_of(report, worst=room.worst),
        standouts=standouts,
        age=age(report.evidence_at, report.generated_at),
        style=_STYLE,
        policy=_POLICY,
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _templates() -> Environment:
    made = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=holdable,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {"moment": moment, "capital": _capital}
    return made


_TEMPLATES = _templates()
_STYLE = "".join(line.strip() for line in (FIGURE_STYLE + (_FOLDER / "report.css").read_text(encoding="utf-8")).splitlines())
_STYLE_HASH = f"sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}"
_POLICY = f"default-src 'none'; style-src '{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"
PAGE_HEADERS = {
    "content-security-policy": f"{_POLICY}; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
"""What a page is served with: nothing in it runs, and nothing is fetched."""
