"""`decision`: what the evidence said for the first time, and all that it was said from."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from modelctl.cli.api import read_items
from modelctl.cli.command import LISTS, Session, client
from modelctl.cli.output import note, write_text
from modelctl.cli.quantities import moment
from modelctl.cli.result import Listing, show_listing
from modelctl.cli.target import only_route
from modelctl.cli.verbs import Route
from modelctl.cli.waiting import latest

commands = typer.Typer(help="What the evidence said for the first time, and all that it was said from.", no_args_is_help=True)


class DecisionRow(msgspec.Struct, frozen=True):
    """One first crossing. `at` is Unix microseconds; `acted` is the verb that followed, or empty."""

    id: int
    kind: str
    at: int
    sentence: str = ""
    acted: str = ""


@client(commands, "list", examples=("modelctl decision list", "modelctl decision list fraud --rollout 7 -o json"), outputs=LISTS)
def list_(
    session: Session,
    route: Route = "",
    *,
    rollout: Annotated[int | None, typer.Option(help="An earlier rollout, from `modelctl list`.")] = None,
) -> None:
    """List the decisions about a route's open or last rollout: verdicts, and gates that were passed."""
    number = rollout or latest(session, only_route(session, route, command="decision list {route}")).id
    answer = session.api.get(f"/v1/rollouts/{number}/decisions")
    rows = read_items(answer, DecisionRow)
    cells = [[str(row.id), row.kind, moment(row.at), row.acted or "-", row.sentence] for row in rows]
    columns = ("ID", "KIND", "FIRST TRUE AT", "FOLLOWED BY", "SENTENCE")
    show_listing(session, answer, listing=Listing(names=[str(row.id) for row in rows], columns=columns, more=(), rows=cells))


@client(
    commands,
    "bundle",
    examples=("modelctl decision bundle 12 > decision-12.json", "modelctl decision bundle 12 --out decision-12.json"),
    outputs=("json",),
)
def bundle(
    session: Session,
    decision: Annotated[int, typer.Argument(metavar="ID", help="Its number, from `decision list`.", show_default=False)],
    *,
    out: Annotated[Path | None, typer.Option(help="File to write; else standard output.")] = None,
) -> None:
    """Get the evidence of a decision, from which anyone can recompute it: modelctl verify FILE."""
    text = session.api.text(f"/v1/decisions/{decision}/bundle")
    if out is None:
        write_text(text)
        return
    out.write_text(text)
    note(f"wrote {out} · next: modelctl verify {out}")
