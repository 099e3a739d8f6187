"""The forms a command's result takes: a sentence or table for people, the API's object or names for programs."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelctl.cli.command import Session
from modelctl.cli.output import note, say, show, table, write_names, write_structured


def tell(session: Session, answer: object, *, name: str, sentence: str) -> None:
    """What a change came to. `answer` is the API's object."""
    if session.structured:
        write_structured(answer, session.output)
    elif session.output == "name":
        write_names([name])
    else:
        say(sentence)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The rows of a list. `more` are the columns that only `-o wide` shows, their cells stand at the end of each row."""

    names: Sequence[str]
    columns: Sequence[str]
    more: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: Sequence[str] = ()


def show_listing(session: Session, answer: object, *, listing: Listing) -> None:
    """A list in the form that is wanted. An empty one is said on stderr."""
    if session.structured:
        write_structured(answer, session.output)
        return
    if session.output == "name":
        write_names(listing.names)
        return
    wide = session.output == "wide"
    columns = [*listing.columns, *(listing.more if wide else ())]
    if listing.rows:
        show(table(columns, [row[: len(columns)] for row in listing.rows], right=listing.right))
    else:
        note("nothing to show yet")
