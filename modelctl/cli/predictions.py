"""`predictions`: what was recorded, filtered, one of them whole, or each new one as it comes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import typer

from modelctl.cli.api import Json, read, read_items
from modelctl.cli.command import LISTS, Session, client
from modelctl.cli.following import follow
from modelctl.cli.output import note, write_names, write_structured
from modelctl.cli.prediction_answer import PredictionRow, Whole
from modelctl.cli.prediction_view import show_whole
from modelctl.cli.result import Listing, show_listing
from modelctl.cli.target import only_route
from modelctl.cli.verbs import Route
from modelctl.errors import InvalidInput

commands = typer.Typer()

PAGES = 25
"""Pages that one command looks through; the control plane reads at most some thousand rows for each."""


@dataclass(frozen=True, kw_only=True)
class Sought:
    """Which predictions."""

    arm: Annotated[str, typer.Option(help="Only answers of this backend.")] = ""
    outcome: Annotated[str, typer.Option(help="Only ok, client_error, backend_error, timeout, cancelled or switched.")] = ""
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME=VALUE, joined by `and`: label=fraud, latency>250ms, agree=no, DIMENSION=VALUE.", show_default=False
        ),
    ] = None

    def query(self, route: str) -> dict[str, str | int | None]:
        """As the API asks for them."""
        return {"route": route, "arm": self.arm, "outcome": self.outcome, "where": " and ".join(self.where or [])}


@client(
    commands,
    "predictions",
    examples=(
        "modelctl predictions fraud --where 'agree=no and country=NL' --limit 5",
        "modelctl predictions fraud --arm fraud-v7 --where 'latency>250ms' --follow",
    ),
    outputs=LISTS,
)
def predictions(
    session: Session,
    route: Route = "",
    *,
    sought: Sought,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most rows; with --follow, most rows to begin with.")] = 20,
    following: Annotated[bool, typer.Option("--follow", "-f", help="Go on with new ones as they come, until Ctrl-C.")] = False,
    id_: Annotated[str, typer.Option("--id", help="One whole, by its id or its request's: both answers, and curl.")] = "",
) -> None:
    """Show recorded predictions, the latest first."""
    if id_ and (following or sought != Sought()):
        raise InvalidInput("--id shows one prediction: leave out the filters and --follow")
    if id_:
        _show_one(session, id_)
        return
    query = sought.query(only_route(session, route, command="predictions {route}"))
    if following:
        follow(session, query, limit=limit)
    else:
        _list(session, query, limit=limit)


def _show_one(session: Session, wanted: str) -> None:
    answer = session.api.get(f"/v1/predictions/{quote(wanted, safe='')}")
    found = read(answer, Whole)
    if session.structured:
        write_structured(answer, session.output)
    elif session.output == "name":
        write_names([found.prediction.id])
    else:
        show_whole(found)


def _list(session: Session, query: Mapping[str, str | int | None], *, limit: int) -> None:
    answer = gathered(session, query, limit=limit)
    found = read_items(answer, PredictionRow)
    listing = Listing(
        names=[row.id for row in found],
        columns=("TIME", "REQUEST", "ARM", "OUTCOME", "STATUS", "LATENCY", "PREDICTION"),
        more=("ID", "ROLE", "REASON", "SHARE", "FIRST BYTE", "FIRST EVENT", "ATTEMPTS"),
        rows=[row.cells for row in found],
        right=("LATENCY", "SHARE", "FIRST BYTE", "FIRST EVENT", "ATTEMPTS"),
    )
    show_listing(session, answer, listing=listing)
    if query["where"] and len(found) < limit and answer.get("next"):
        note("only the newest predictions were looked through; modelctl export has all of them")


def gathered(session: Session, query: Mapping[str, str | int | None], *, limit: int) -> Json:
    """As many as are wanted, from as many pages as that takes, at most PAGES."""
    answer = session.api.get("/v1/predictions", **query, limit=limit)
    items = list(read(answer.get("items"), list))
    for _ in range(PAGES - 1):
        if not query["where"] or len(items) >= limit or not answer.get("next"):
            break
        answer = session.api.get("/v1/predictions", **query, limit=limit - len(items), cursor=answer["next"])
        items += read(answer.get("items"), list)
    return {**answer, "items": items}
