"""Tables and untrusted text in Markdown. Pure."""

from collections.abc import Iterable, Iterator, Sequence

_LONGEST = 120
_ACTIVE = frozenset("<>[]@")
_MARKS = frozenset("&<>\"'`*_[]()#|\\!~@:")


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


def prose(sentence: str) -> str:
    """A sentence with a label or a slice in it, which came from a client or a model: on one line, and
    nothing in it is an element, a link or a mention."""
    return escaped(sentence) if _ACTIVE & set(sentence) else " ".join(sentence.split())


def escaped(text: str) -> str:
    """One line of untrusted text outside of code."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return "".join(f"&#{ord(letter)};" if letter in _MARKS else letter for letter in line)
