"""Where text goes: data to stdout, everything else to stderr; and the forms a value of the API can take.

Colour is rich's business: it leaves it out when the output is no terminal or NO_COLOR is set. No meaning is in it alone.
"""

import sys
from collections.abc import Sequence

import msgspec
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from modelctl.cli.yaml_text import yaml_text

# Without a terminal a table is as wide as its content: what reads it then is a program or a file.
_PIPE_WIDTH = 240


def data_console() -> Console:
    """A console on stdout as it is now."""
    return _console(sys.stdout.isatty(), stderr=False)


def note_console() -> Console:
    """A console on stderr as it is now."""
    return _console(sys.stderr.isatty(), stderr=True)


def _console(terminal: bool, *, stderr: bool) -> Console:
    return Console(
        stderr=stderr, width=None if terminal else _PIPE_WIDTH, highlight=False, emoji=False, markup=False, soft_wrap=False
    )


def show(renderable: RenderableType) -> None:
    """Data for a person, on stdout."""
    data_console().print(renderable)


def plain(text: str) -> str:
    """`text` with every character that could move a terminal's cursor or change its colours written as its escape."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1] for letter in text)


def line(text: str, style: str = "") -> Text:
    """One line of a picture, safe to show whatever it holds."""
    return Text(plain(text), style=style)


def say(sentence: str) -> None:
    """One line of data: long ones are not broken, so that they can be searched and copied."""
    data_console().print(line(sentence), soft_wrap=True)


def note(sentence: str) -> None:
    """A remark for a person, on stderr."""
    note_console().print(line(sentence), soft_wrap=True)


def write_json(value: object) -> None:
    """`value` as indented JSON on stdout, and nothing else."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")


def write_structured(value: object, output: str) -> None:
    """`value` as `json` or `yaml` on stdout."""
    if output == "json":
        write_json(value)
    else:
        sys.stdout.write(yaml_text(msgspec.to_builtins(value)))


def write_text(text: str) -> None:
    """`text` on stdout as it is, with one line end behind it."""
    sys.stdout.write(text.rstrip("\n") + "\n")


def write_names(names: Sequence[str]) -> None:
    """One name a line on stdout."""
    sys.stdout.write("".join(f"{name}\n" for name in names))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """A table in the manner of kubectl; the columns named in `right` hold numbers, lines of those in `whole` are not broken."""
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(
            line(column), justify="right" if column in right else "left", overflow="fold", no_wrap=column in (*right, *whole)
        )
    for row in rows:
        grid.add_row(*(line(cell) for cell in row))
    return grid
