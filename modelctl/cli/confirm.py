"""Asking before something is taken away."""

import sys
from typing import Annotated

import typer

from modelctl.cli.output import note
from modelctl.errors import InvalidInput, ModelctlError

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def confirmed(question: str, *, yes: bool) -> None:
    """Returns when the answer is yes. Asks on a terminal only; elsewhere raises InvalidInput unless `yes` was given."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise InvalidInput(f"{question} This is no terminal to answer on: repeat the command with --yes")
    note(f"{question} [y/N]")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise ModelctlError("nothing was changed")
