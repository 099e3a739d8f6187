"""`history`, `predictions`, `list`: what was done, and what was recorded."""

from typing import Annotated

import msgspec
import typer

from modelctl.cli.api import read_items
from modelctl.cli.command import LISTS, Session, client
from modelctl.cli.event_lines import Event, event_lines
from modelctl.cli.quantities import milliseconds, moment, percent
from modelctl.cli.result import Listing, show_listing
from modelctl.cli.target import RolloutRow, only_route
from modelctl.cli.verbs import Route

commands = typer.Typer()

Limit = Annotated[int, typer.Option(min=1, max=1000, help="Most rows.")]


class PredictionRow(msgspec.Struct, frozen=True):
    """What a list shows of a prediction. `at` and `*_us` are microseconds; a first byte or event of 0 never came."""

    id: str
    at: int
    route: str
    arm: str
    outcome: str
    request_id: str = ""
    role: str = ""
    reason: str = ""
    status: int = 0
    latency_us: int | None = None
    probability: int | None = None
    first_byte_us: int = 0
    first_event_us: int = 0
    attempts: int = 1
    label: str | None = None
    number: float | None = None
    text: str | None = None
    problem: str | None = ""

    @property
    def cells(self) -> list[str]:
        """In the order of the list's columns."""
        latency = None if self.latency_us is None else self.latency_us / 1_000
        short = [moment(self.at), self.request_id, self.arm, self.outcome, str(self.status), milliseconds(latency), self.value]
        firsts = [milliseconds(first / 1_000 if first else None) for first in (self.first_byte_us, self.first_event_us)]
        return [*short, self.id, self.role, self.reason, percent(self.probability), *firsts, str(self.attempts)]

    @property
    def value(self) -> str:
        """The prediction, or why there is none."""
        found = [self.label, None if self.number is None else f"{self.number:g}", self.text]
        shown = next((value for value in found if value is not None), None)
        return shown if shown is not None else f"none: {self.problem}" if self.problem else "-"


@client(commands, "history", examples=("modelctl history", "modelctl history fraud --limit 10 -o json"), outputs=LISTS)
def history(session: Session, route: Route = "", *, limit: Limit = 50) -> None:
    """Show who did what, when and why; the latest first."""
    answer = session.api.get("/v1/events", route=route, limit=limit)
    events = read_items(answer, Event)
    columns = ("ID", "TIME", "WHO", "ACTION", "WHAT", "WHY")
    names, rows = [str(event.id) for event in events], list(event_lines(events))
    show_listing(session, answer, listing=Listing(names=names, columns=columns, more=("DETAIL",), rows=rows, right=("ID",)))


@client(
    commands,
    "predictions",
    examples=("modelctl predictions --limit 5", "modelctl predictions fraud --arm fraud-v7 --outcome backend_error -o json"),
    outputs=LISTS,
)
def predictions(
    session: Session,
    route: Route = "",
    *,
    arm: Annotated[str, typer.Option(help="Only answers of this backend.")] = "",
    outcome: Annotated[str, typer.Option(help="Only ok, client_error, backend_error, timeout, cancelled or switched.")] = "",
    limit: Limit = 20,
) -> None:
    """Show recorded predictions, the latest first."""
    name = only_route(session, route, command="predictions {route}")
    answer = session.api.get("/v1/predictions", route=name, arm=arm, outcome=outcome, limit=limit)
    found = read_items(answer, PredictionRow)
    listing = Listing(
        names=[row.id for row in found],
        columns=("TIME", "REQUEST", "ARM", "OUTCOME", "STATUS", "LATENCY", "PREDICTION"),
        more=("ID", "ROLE", "REASON", "SHARE", "FIRST BYTE", "FIRST EVENT", "ATTEMPTS"),
        rows=[row.cells for row in found],
        right=("LATENCY", "SHARE", "FIRST BYTE", "FIRST EVENT", "ATTEMPTS"),
    )
    show_listing(session, answer, listing=listing)


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
