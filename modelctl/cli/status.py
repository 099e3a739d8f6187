"""`status`: what every route does now, once, again and again, or until a rollout has reached a phase."""

import time
from contextlib import ExitStack
from typing import Annotated, NoReturn

import typer
from rich.console import RenderableType
from rich.live import Live

from modelctl.cli.api import read
from modelctl.cli.command import VIEWS, Session, client
from modelctl.cli.output import data_console, line, note, show, write_structured
from modelctl.cli.quantities import seconds
from modelctl.cli.status_answer import Status
from modelctl.cli.status_tree import status_tree
from modelctl.cli.verbs import Route
from modelctl.cli.waiting import checked_phase, wait_for
from modelctl.errors import ControlPlaneUnreachable, InvalidInput, StoreError

commands = typer.Typer()

_EVERY = 2.0


@client(
    commands,
    "status",
    examples=("modelctl status -w", "modelctl status fraud --wait promoted --timeout 10m"),
    outputs=VIEWS,
)
def status(
    session: Session,
    route: Route = "",
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again every two seconds, until Ctrl-C.")] = False,
    wait: Annotated[
        str, typer.Option(help="Wait until its rollout is promoted, rolled-back, completed, progressing or paused.")
    ] = "",
    timeout: Annotated[str, typer.Option(help="How long to wait: 30s, 10m or 7d.")] = "10m",
) -> None:
    """Show what each route does now: its rollout, shares, requests, errors, evidence and the next possible commands."""
    if watch and (wait or session.structured):
        raise InvalidInput("-w shows a picture that changes: leave out --wait and -o")
    phase, within = checked_phase(wait) if wait else None, seconds(timeout)
    if watch:
        _watch(session, route)
    if phase:
        rollout = wait_for(session, route, phase=phase, within=within)
        note(f"rollout {rollout.id} of route {rollout.route} is {rollout.phase}")
        route = rollout.route
    answer = session.api.get("/v1/status", route=route)
    if session.structured:
        write_structured(answer, session.output)
    else:
        show(status_tree(read(answer, Status)))


def _watch(session: Session, route: str) -> NoReturn:
    """Ctrl-C ends it. Without a terminal every change is shown below the one before."""
    console = data_console()
    shown: object = None
    with ExitStack() as stack:
        live = stack.enter_context(Live(console=console, auto_refresh=False, screen=True)) if console.is_terminal else None
        while True:
            answer, picture = _look(session, route)
            if live:
                live.update(picture, refresh=True)
            elif answer != shown:
                show(picture)
            shown = answer
            time.sleep(_EVERY)


def _look(session: Session, route: str) -> tuple[object, RenderableType]:
    """The status and its picture. A control plane that is gone for a moment is said in its place."""
    try:
        answer = session.api.get("/v1/status", route=route)
    except (ControlPlaneUnreachable, StoreError) as error:
        return str(error), line(f"{error} · asking again every {_EVERY:.0f} seconds")
    return answer, status_tree(read(answer, Status))
