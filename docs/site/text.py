"""Markdown as the pages write it, and the tables of the pages that people wrote."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

DOCS = Path(__file__).resolve().parent.parent


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what stands in a cell may hold `|` and line ends."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in cells) + " |" for cells in lines)


def code(text: object) -> str:
    """The text as code; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def codes(words: Iterable[str]) -> str:
    """Several, each as code."""
    return " ".join(code(word) for word in words)


def anchor(text: str) -> str:
    """A name for a place that no heading's own anchor has."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def written_rows(page: str, heading: str) -> dict[str, str]:
    """Of the first table behind `heading` of a page that people wrote: its last cell by its first.

    Raises LookupError when there is none.
    """
    _, _, rest = (DOCS / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")
    found = re.search(r"((?:^\|.*\n)+)", rest, re.MULTILINE)
    if found is None:
        raise LookupError(f"docs/{page} has no table behind the heading {heading!r}")
    cells = [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in found[1].splitlines()[2:]]
    return {row[0].strip().strip("`"): row[-1].strip() for row in cells}


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", " ".join(str(text).split()))
