"""A Parquet file, which the program with the library for it writes from exported lines."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import typer

from modelctl.errors import InvalidInput


@contextmanager
def parquet_file(file: Path | None, *, what: str, append: bool) -> Iterator[BinaryIO]:
    """Where lines go; the file appears under its name when it is whole.

    Raises InvalidInput, and typer.Exit when it cannot be written: the program said why.
    """
    if file is None or append:
        raise InvalidInput("Parquet is written to a file and from its beginning: name one with --output, and leave --after out")
    part = file.with_name(f"{file.name}.part")
    command = [sys.executable, "-P", "-m", "modelctl.parquet", what, str(part)]
    writer = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - this program's own module
    pipe = writer.stdin
    if pipe is None:
        raise InvalidInput("the program that writes Parquet takes no lines")
    try:
        with suppress(BrokenPipeError):  # it ended early, and its exit code says so
            yield pipe  # type: ignore[misc]
            pipe.close()
        if writer.wait():
            raise typer.Exit(1)
        part.replace(file)
    finally:
        writer.kill()
        writer.wait()
        with suppress(BrokenPipeError):
            pipe.close()
        part.unlink(missing_ok=True)
