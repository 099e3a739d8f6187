"""The lines of an export, over breaks of the connection; and where they go."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from modelctl.cli.api import Api
from modelctl.cli.output import note_console
from modelctl.errors import ControlPlaneUnreachable, InvalidInput, ModelctlError

PAUSES = (0.2, 1.0, 3.0, 5.0)  # seconds before each further try where a stream broke off
SHOWN_AFTER = 2.0  # seconds that may pass without a word


class Place(msgspec.Struct, frozen=True):
    """Where a line stands in the export, and the Unix microsecond of its request."""

    cursor: str
    at: int


_place = msgspec.json.Decoder(Place).decode


def exported(api: Api, path: str, *, query: Mapping[str, str | int | None], told: Callable[[Place], None]) -> Iterator[bytes]:
    """Every line at `path`, from the place on where a connection broke; `told` hears of each before it is given.

    Raises ControlPlaneUnreachable, with the place to go on from, when the control plane stays away.
    """
    after = query.get("after")
    failures = 0
    while True:
        try:
            for line in api.lines(path, **{**query, "after": after}):
                place = _place(line)
                told(place)
                yield line
                after, failures = place.cursor, 0
        except ControlPlaneUnreachable as error:
            if failures == len(PAUSES):
                raise ControlPlaneUnreachable(f"{error}{_go_on(after)}") from error
            time.sleep(PAUSES[failures])
            failures += 1
        except msgspec.DecodeError as error:
            raise ModelctlError(f"{path} answered a line that is no exported row ({error}){_go_on(after)}") from error
        else:
            return


def _go_on(after: str | int | None) -> str:
    return f"\nthe export broke off; go on behind its last whole line with --after {after}" if after else ""


@contextmanager
def destination(file: Path | None, *, append: bool) -> Iterator[BinaryIO]:
    """Standard output, or a file that appears under its name when it is whole.

    Until then it is FILE.part, which stays when the block fails; `append` goes on with it. Raises InvalidInput.
    """
    if file is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = file.with_name(f"{file.name}.part")
    try:
        opened = part.open("ab" if append else "wb")
    except OSError as error:
        raise InvalidInput(f"cannot write {part}: {error.strerror}") from error
    with opened as target:
        yield target
        target.flush()
        os.fsync(target.fileno())
    part.replace(file)


class Meter:
    """A bar on stderr's terminal for what lasts longer than SHOWN_AFTER: how far the export has come in time."""

    def __init__(self, until: int) -> None:
        console = note_console()
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._visible = console.is_terminal
        self._until = until
        self._since = 0
        self._due = time.monotonic() + SHOWN_AFTER
        self._running = False
        self.count = 0

    def tell(self, place: Place) -> None:
        """One row more."""
        self.count += 1
        self._since = self._since or place.at
        if self._visible and self.count % 64 == 0 and time.monotonic() > self._due:
            self._show(place.at)

    def _show(self, at: int) -> None:
        if not self._running:
            self._running = True
            self._bar.start()
            self._bar.add_task("export", total=max(1, self._until - self._since))
        self._bar.update(self._bar.task_ids[0], completed=at - self._since, description=f"{self.count:,} rows")

    def close(self) -> None:
        """Takes the bar away."""
        if self._running:
            self._bar.stop()
