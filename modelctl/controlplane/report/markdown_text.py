"""Tables and untrusted text in Markdown. Pure."""

from collections.abc import Iterable, Iterator, Sequence

_LONGEST = 120


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield _row(header)
    yield _row(["---"] * len(header))
    for row in rows:
        yield _row(row)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def code(text: str) -> str:
    """One line of untrusted text as code: nothing in it can end the code or the cell."""
    line = "".join(
        " " if character.isspace() else character for character in text if character.isprintable() or character.isspace()
    )
    line = line.replace("`", "'").replace("|", "\\|").strip()
    shown = line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
    return f"`{shown or ' '}`"
