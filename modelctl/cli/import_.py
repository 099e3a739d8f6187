"""`import`: exported predictions into this store."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
import typer
from rich.progress import Progress

from modelctl.cli.api import read
from modelctl.cli.command import OBJECTS, Session, client
from modelctl.cli.output import note, note_console
from modelctl.cli.patience import quiet
from modelctl.cli.result import tell
from modelctl.errors import InvalidInput, NotFound

commands = typer.Typer()

PIECE = 256 * 1024
PATIENCE = 30.0  # seconds without a step of the recorder
_LOOK = 0.2


class Taken(msgspec.Struct, frozen=True):
    """How far an import is."""

    name: str
    taken: int
    recorded: int = 0
    known: int = 0
    quarantined: int = 0

    @property
    def settled(self) -> int:
        """The lines that the recorder is done with."""
        return self.recorded + self.known + self.quarantined


@client(
    commands,
    "import",
    examples=("modelctl import fraud.ndjson", "modelctl import fraud.ndjson --outside-rollouts -o json"),
    outputs=OBJECTS,
)
def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(help="NDJSON, as `modelctl export` writes it.", show_default=False)],
    *,
    outside_rollouts: Annotated[
        bool, typer.Option("--outside-rollouts", help="Take what fell under rollouts as traffic outside of them.")
    ] = False,
) -> None:
    """Record predictions that were exported elsewhere or earlier. Each counts once, however often it is imported."""
    try:
        size = file.stat().st_size
        opened = file.open("rb")
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    console = note_console()
    with opened, quiet(), Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("import", total=size)
        query: dict[str, str | int] = {"apart": int(outside_rollouts), "source": file.name}
        answer = session.api.send("/v1/predictions:import", _pieces(opened, progress, bar=bar), **query)
    found = _settled(session, read(answer, Taken))
    words = f"{found.taken:,} lines · {found.recorded:,} recorded · {found.known:,} known before · {found.quarantined:,} set aside"
    tell(session, msgspec.to_builtins(found), name=found.name, sentence=words)
    if found.settled < found.taken:
        note(f"the recorder still has {found.taken - found.settled:,} lines to read; they are safe in the spool {found.name}")


def _pieces(file: BinaryIO, progress: Progress, *, bar: int) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
        progress.advance(progress.task_ids[bar], len(piece))


def _settled(session: Session, taken: Taken) -> Taken:
    """The import when the recorder is done with it, or does nothing for PATIENCE."""
    found, deadline = taken, time.monotonic() + PATIENCE
    while found.settled < taken.taken and time.monotonic() < deadline:
        time.sleep(_LOOK)
        before = found.settled
        try:
            found = msgspec.structs.replace(read(session.api.get(f"/v1/imports/{taken.name}"), Taken), taken=taken.taken)
        except NotFound:
            continue
        deadline = time.monotonic() + PATIENCE if found.settled > before else deadline
    return found
