"""`status`: what every route does now, once, again and again, or until a rollout has reached a phase."""

from typing import Annotated

import typer

from modelctl.cli.api import read
from modelctl.cli.command import VIEWS, Session, client
from modelctl.cli.output import note, show, write_structured
from modelctl.cli.patience import patience
from modelctl.cli.quantities import seconds
from modelctl.cli.status_answer import Status
from modelctl.cli.status_tree import status_tree
from modelctl.cli.status_watch import watch as watch_status
from modelctl.cli.verbs import Route
from modelctl.cli.waiting import checked_phase, wait_for
from modelctl.errors import InvalidInput

commands = typer.Typer()


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
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Look every two seconds, until Ctrl-C; piped, a line for each change.")
    ] = False,
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
        watch_status(session, route)
    if phase:
        with patience(f"waiting until it is {phase}"):
            rollout = wait_for(session, route, phase=phase, within=within)
        note(f"rollout {rollout.id} of route {rollout.route} is {rollout.phase}")
        route = rollout.route
    answer = session.api.get("/v1/status", route=route)
    if session.structured:
        write_structured(answer, session.output)
    else:
        show(status_tree(read(answer, Status)))
