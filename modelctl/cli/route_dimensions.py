"""`route dimension`: by what a route's traffic is sliced."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from modelctl.cli.command import LISTS, Session, client
from modelctl.cli.confirm import Yes, confirmed
from modelctl.cli.fields import plain
from modelctl.cli.result import Listing, show_listing
from modelctl.cli.route_parts import add_item, items_of, remove_item
from modelctl.errors import InvalidInput
from modelctl.metric import DimensionSource

commands = typer.Typer(help="Ways to slice a route's traffic: by a header, a field of the request, the hour.", no_args_is_help=True)

RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="Name of the route, such as fraud.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Its name in reports, such as country.", show_default=False)]


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Where the value of a slice comes from, and how numbers become ranges; None for what was not given."""

    header: Annotated[str | None, typer.Option(help="The header whose value it is; `route set --keep-header` keeps it.")] = None
    request: Annotated[str | None, typer.Option(metavar="PATH", help="The place in the request's JSON body: /amount.")] = None
    hour: Annotated[bool, typer.Option("--hour", help="The hour of the day, UTC.")] = False
    cuts: Annotated[str | None, typer.Option(metavar="N,...", help="Numbers at which ranges begin, such as 10,100.")] = None

    def fields(self) -> dict[str, Any]:
        """The fields of a dimension but its name. Raises InvalidInput."""
        given = [
            *([(DimensionSource.HEADER, self.header.lower())] if self.header else []),
            *([(DimensionSource.REQUEST, self.request)] if self.request else []),
            *([(DimensionSource.HOUR, "")] if self.hour else []),
        ]
        if len(given) != 1:
            raise InvalidInput("say where it comes from, once: --header x-country, --request /amount or --hour")
        ((source, place),) = given
        found: dict[str, Any] = {"source": source.value} | ({"place": place} if place else {})
        return found | ({"cuts": _cuts(self.cuts)} if self.cuts else {})


@client(
    commands,
    "add",
    examples=(
        "modelctl route dimension add fraud country --header x-country",
        "modelctl route dimension add fraud amount --request /amount --cuts 10,100,1000",
    ),
)
def add(
    session: Session,
    route: RouteName,
    *,
    name: Name,
    slices: Slices,
) -> None:
    """Declare a slice: reports compare the arms in each of its values, and rank them."""
    add_item(session, route, part="dimensions", word="dimension", item={"name": name} | slices.fields())


@client(
    commands,
    "list",
    examples=("modelctl route dimension list fraud", "modelctl route dimension list fraud -o json"),
    outputs=LISTS,
)
def list_(session: Session, route: RouteName) -> None:
    """List a route's dimensions."""
    items = items_of(session, route, part="dimensions")
    listing = Listing(
        names=[item["name"] for item in items],
        columns=("NAME", "SOURCE", "PLACE", "CUTS"),
        more=(),
        rows=[[plain(item.get(key)) or "-" for key in ("name", "source", "place", "cuts")] for item in items],
    )
    show_listing(session, {"items": list(items)}, listing=listing)


@client(
    commands,
    "remove",
    examples=("modelctl route dimension remove fraud country", "modelctl route dimension remove fraud country --yes"),
)
def remove(session: Session, route: RouteName, *, name: Name, yes: Yes = False) -> None:
    """Take a dimension away: nothing is sliced by it from the next rollout on."""
    confirmed(f"Remove dimension {name} of route {route}?", yes=yes)
    remove_item(session, route, part="dimensions", word="dimension", name=name)


def _cuts(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise InvalidInput(f"--cuts {text}: write numbers with commas between them, such as 10,100,1000") from None
