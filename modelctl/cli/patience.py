"""A moving bar on a terminal while something takes more than two seconds; nothing elsewhere, and nothing that stays."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, Timer

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from modelctl.cli.output import note_console, plain

AFTER = 2.0
_terminal = Lock()  # who draws on it; of two bars one would write over the other


@contextmanager
def patience(sentence: str) -> Iterator[None]:
    """Shows `sentence` and the time on stderr while the block goes on, unless something is drawn there already.

    The block itself writes nothing.
    """
    console = note_console()
    if not console.is_terminal or not _terminal.acquire(blocking=False):
        yield
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True)
    progress.add_task(plain(sentence), total=None)
    late = Timer(AFTER, progress.start)
    late.daemon = True
    late.start()
    try:
        yield
    finally:
        late.cancel()
        late.join()
        progress.stop()
        _terminal.release()


@contextmanager
def quiet() -> Iterator[None]:
    """The block draws on the terminal itself, so nothing within it shows a bar."""
    mine = _terminal.acquire(blocking=False)
    try:
        yield
    finally:
        if mine:
            _terminal.release()


def ran(command: Sequence[str], sentence: str) -> int:
    """The exit code of one of this program's own modules. What it writes is shown when it has ended, so that no bar is in it."""
    if not note_console().is_terminal:
        return subprocess.run(command, check=False).returncode  # noqa: S603 - this program's own module
    with patience(sentence):
        done = subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - this program's own module
    for stream, said in ((sys.stdout, done.stdout), (sys.stderr, done.stderr)):
        stream.write(said.decode(errors="replace"))
        stream.flush()
    return done.returncode
