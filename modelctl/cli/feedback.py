"""`feedback`: what turned out to be true for a request, also much later."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import Progress

from modelctl.cli.api import read
from modelctl.cli.command import VIEWS, Session, client
from modelctl.cli.output import note_console, say, write_structured
from modelctl.cli.patience import quiet
from modelctl.errors import InvalidInput

commands = typer.Typer(help="What turned out for a request: the true label or number, or a reward.", no_args_is_help=True)

BATCH = 500
MOST_FAULTS = 5

Reward = Annotated[bool, typer.Option("--reward", help="What the answer brought, a number, not what was true.")]


class Taken(msgspec.Struct, frozen=True):
    """How many values the control plane took. `unmatched` are taken as well: their request is not recorded (yet)."""

    accepted: int = 0
    duplicates: int = 0
    unmatched: int = 0

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(self.accepted + other.accepted, self.duplicates + other.duplicates, self.unmatched + other.unmatched)

    def __str__(self) -> str:
        return f"{self.accepted:,} accepted · {self.duplicates:,} known before · {self.unmatched:,} whose request is not recorded"


class Line(msgspec.Struct, frozen=True):
    """One line of an import."""

    request_id: str
    value: str | bool | int | float


@client(
    commands,
    "send",
    examples=("modelctl feedback send 0190-abc fraud", "modelctl feedback send 0190-abc 12.5 --reward --source shop"),
    outputs=VIEWS,
)
def send(
    session: Session,
    request_id: Annotated[str, typer.Argument(metavar="ID", help="The request's x-request-id.", show_default=False)],
    *,
    value: Annotated[str, typer.Argument(metavar="VALUE", help="A label, or a number.", show_default=False)],
    source: Annotated[str, typer.Option(help="Where it comes from.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Put it in the place of a different earlier value.")] = False,
    reward: Reward = False,
) -> None:
    """Report what was true for one request. Sending the same again changes nothing."""
    body = {"request_id": request_id, "value": plain_value(value)} | _extras(source, replace=replace, reward=reward)
    answer = session.api.post("/v1/feedback", body)
    if session.structured:
        write_structured(answer, session.output)
    else:
        say(str(read(answer, Taken)))


@client(
    commands,
    "import",
    examples=("modelctl feedback import labels.ndjson", "modelctl feedback import labels.ndjson --source audit --replace"),
    outputs=VIEWS,
)
def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(help='NDJSON: {"request_id": "...", "value": ...} on each line.', show_default=False)],
    *,
    source: Annotated[str, typer.Option(help="Where the values come from.")] = "",
    replace: Annotated[bool, typer.Option("--replace", help="Put them in the place of different earlier values.")] = False,
    reward: Reward = False,
) -> None:
    """Report what was true for many requests. The whole file is checked before the first value is sent."""
    lines = read_lines(file)
    extras = _extras(source, replace=replace, reward=reward)
    total = Taken()
    with ExitStack() as stack:
        console = note_console()
        stack.enter_context(quiet())
        progress = stack.enter_context(Progress(console=console, disable=not console.is_terminal))
        bar = progress.add_task("feedback", total=len(lines))
        for batch in batches(lines):
            answer = session.api.post("/v1/feedback", [msgspec.to_builtins(line) | extras for line in batch])
            total += read(answer, Taken)
            progress.advance(bar, len(batch))
    if session.structured:
        write_structured(total, session.output)
    else:
        say(str(total))


def plain_value(text: str) -> str | float:
    """A number when `text` is one in JSON, else the label itself."""
    try:
        return msgspec.json.decode(text, type=int | float)
    except msgspec.DecodeError:
        return text


def read_lines(file: Path) -> list[Line]:
    """The values of an NDJSON file; empty lines are skipped. Raises InvalidInput that names the wrong lines."""
    try:
        texts = file.read_bytes().splitlines()
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    lines: list[Line] = []
    faults: list[str] = []
    for place, text in enumerate(texts, start=1):
        try:
            lines += [msgspec.json.decode(text, type=Line)] if text.strip() else []
        except msgspec.DecodeError as error:
            faults.append(f"line {place}: {error}")
    if faults:
        more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise InvalidInput(f"{file} was not sent, {len(faults)} of its lines are wrong: {'; '.join(faults[:MOST_FAULTS])}{more}")
    return lines


def batches(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """The lines in their order, at most BATCH at a time."""
    rest = iter(lines)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _extras(source: str, *, replace: bool, reward: bool) -> dict[str, Any]:
    kind = {"kind": "reward"} if reward else {}
    return ({"source": source} if source else {}) | ({"replace": True} if replace else {}) | kind
