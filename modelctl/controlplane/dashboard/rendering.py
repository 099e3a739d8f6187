"""From a template and values to HTML: every value is escaped, what no page can hold is replaced, and a value that is missing is a
fault, not an empty place."""

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from modelctl.controlplane.dashboard import words
from modelctl.controlplane.figures.style import STYLE
from modelctl.controlplane.figures.svg import holdable

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
FIGURES = "figures.css"


def render(template: str, values: Mapping[str, Any]) -> str:
    """The page."""
    return _environment().get_template(template).render(values)


@cache
def asset(name: str) -> str:
    """The address of a file of `static`; another one as soon as the file is another."""
    content = STYLE.encode() if name == FIGURES else (STATIC / name).read_bytes()
    digest = sha256(content).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=holdable,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in ("share", "points", "count", "number", "latency", "size", "stamp", "utc", "span"):
        made.filters[name] = getattr(words, name)
    made.globals.update(asset=asset, mark=words.mark, relative=words.relative, harm=words.harm, command=words.command)
    return made
