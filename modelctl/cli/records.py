"""`history`, `list`: what was done."""

from typing import Annotated

import typer

from modelctl.cli.api import read_items
from modelctl.cli.command import LISTS, Session, client
from modelctl.cli.event_lines import Event, event_lines
from modelctl.cli.quantities import moment
from modelctl.cli.result import Listing, show_listing
from modelctl.cli.target import RolloutRow
from modelctl.cli.verbs import Route

commands = typer.Typer()

Limit = Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")]


@client(commands, "history", examples=("modelctl history", "modelctl history fraud --limit 10 -o json"), outputs=LISTS)
def history(session: Session, route: Route = "", *, limit: Limit = 50) -> None:
    """Show who did what, when and why; the latest first."""
    answer = session.api.get("/v1/events", route=route, limit=limit)
    events = read_items(answer, Event)
    columns = ("ID", "TIME", "WHO", "ACTION", "WHAT", "WHY")
    names, rows = [str(event.id) for event in events], list(event_lines(events))
    show_listing(session, answer, listing=Listing(names=names, columns=columns, more=("DETAIL",), rows=rows, right=("ID",)))


@client(commands, "list", examples=("modelctl list", "modelctl list fraud -o wide"), outputs=LISTS)
def list_(session: Session, route: Route = "") -> None:
    """List the rollouts, open and ended; the latest first."""
    answer = session.api.get("/v1/rollouts", route=route)
    found = read_items(answer, RolloutRow)
    columns = ("ID", "ROUTE", "STRATEGY", "PHASE", "CANDIDATES", "OPENED", "ENDED")
    names, rows = [str(rollout.id) for rollout in found], [_rollout_cells(rollout) for rollout in found]
    more = ("BASELINE", "WHO", "WHY")
    show_listing(session, answer, listing=Listing(names=names, columns=columns, more=more, rows=rows, right=("ID",)))


def _rollout_cells(row: RolloutRow) -> list[str]:
    times = [moment(row.opened_at * 1_000), moment(row.closed_at * 1_000)]
    short = [str(row.id), row.route, row.strategy, row.phase, ", ".join(row.candidates), *times]
    return [*short, row.baseline, row.actor or "-", row.reason or "-"]
