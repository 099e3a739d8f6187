"""Where generated text goes: a page has the line `<!-- generated: NAME -->`, and Sphinx reads what the code says in its place.

So the pages are in the repository under their names, and links to them work on a Git host too.
"""

import re
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from sphinx.application import Sphinx

from docs.site import api, commands, failures, metrics, settings

_MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)

GENERATED: Mapping[str, Callable[[], str]] = {
    "api": api.markdown,
    "commands": commands.markdown,
    "errors": failures.errors,
    "exit-codes": failures.exit_codes,
    "metrics": metrics.markdown,
    "problems": failures.problems,
    "refusals": failures.refusals,
    "settings": settings.markdown,
}


def register(app: Sphinx, root: Path) -> None:
    """Connects what follows to the build of `root`'s documentation."""
    found = pictures(root / "artifacts", Path(app.srcdir) / "_build" / "pictures")
    app.connect("source-read", partial(_fill, {**GENERATED, "pictures": lambda: found}))


def _fill(generated: Mapping[str, Callable[[], str]], _: Sphinx, name: str, source: list[str]) -> None:
    source[0] = filled(source[0], generated)


def filled(text: str, generated: Mapping[str, Callable[[], str]]) -> str:
    """The page with its marks replaced. Raises KeyError for a mark that nothing generates."""
    return _MARK.sub(lambda mark: generated[mark[1]](), text)


def pictures(artifacts: Path, into: Path) -> str:
    """The dashboard's pictures that the tests took, copied to where Sphinx finds them; a sentence where there are none."""
    taken = sorted(artifacts.glob("dashboard-*.png"))
    if not taken:
        return "`make test` takes pictures of the dashboard into `artifacts/`; a site that is built after it shows them here."
    into.mkdir(parents=True, exist_ok=True)
    for file in taken:
        shutil.copyfile(file, into / file.name)
    titles = [file.stem.removeprefix("dashboard-").replace("-", " ") for file in taken]
    shown = [f"![The dashboard: {title}](/_build/pictures/{file.name})" for title, file in zip(titles, taken, strict=True)]
    return "\n\n".join(f"## {title.capitalize()}\n\n{image}" for title, image in zip(titles, shown, strict=True))
