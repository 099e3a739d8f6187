"""`verify`: recompute a decision from its evidence. The control plane's own program does the work: clients load no statistics."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from modelctl.cli.command import local
from modelctl.cli.exits import Exit
from modelctl.cli.patience import ran

commands = typer.Typer()

# What the program says of a file it cannot read; here it is a wrong word on the command line.
_UNREADABLE = 2


@local(commands, "verify", examples=("modelctl verify decision-12.json", "modelctl verify bundles/fraud-promote.json"))
def verify(file: Annotated[Path, typer.Argument(help="A decision's evidence bundle.", show_default=False)]) -> None:
    """Judge the evidence of a decision again and compare: 0 when it says the same, 1 with a table of what differs."""
    command = [sys.executable, "-P", "-m", "modelctl.controlplane.judgement.verify", str(file)]
    code = ran(command, "judging the evidence again")
    if code:
        raise typer.Exit(Exit.USAGE if code == _UNREADABLE else Exit.REFUSED)
