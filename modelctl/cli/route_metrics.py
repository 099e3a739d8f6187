"""`route metric`: what a route measures of its own in the answers of its models."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from modelctl.cli.command import LISTS, Session, client
from modelctl.cli.confirm import Yes, confirmed
from modelctl.cli.fields import plain
from modelctl.cli.result import Listing, show_listing
from modelctl.cli.route_parts import add_item, items_of, remove_item
from modelctl.metric import FieldType, Worse

commands = typer.Typer(help="Metrics of a route's own, read from the answers of its models.", no_args_is_help=True)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What stands there, and how it is read."""

    type_: Annotated[FieldType, typer.Option("--type", help="A number, or a yes or no.")] = FieldType.NUMBER
    worse: Annotated[Worse, typer.Option(help="Which direction harms.")] = Worse.HIGHER
    low: Annotated[float | None, typer.Option(help="What is lower counts as this.")] = None
    high: Annotated[float | None, typer.Option(help="What is higher counts as this.")] = None

    def fields(self) -> dict[str, Any]:
        """The fields of a metric but its name and path."""
        bounds = {name: value for name, value in (("low", self.low), ("high", self.high)) if value is not None}
        return {"type": self.type_.value, "worse": self.worse.value} | bounds


RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="Name of the route, such as fraud.", show_default=False)]
MetricName = Annotated[str, typer.Argument(metavar="NAME", help="Its name in gates, such as score.", show_default=False)]


@client(
    commands,
    "add",
    examples=(
        "modelctl route metric add fraud score --path /score --low 0 --high 1",
        "modelctl route metric add fraud refused --path /refused --type flag --worse higher",
    ),
)
def add(
    session: Session,
    route: RouteName,
    *,
    name: MetricName,
    path: Annotated[str, typer.Option(help="Where it stands in an answer's body: /score or $.items[0].score.", show_default=False)],
    reading: Reading,
) -> None:
    """Declare a metric at a place in the answers. Gates can name it from the next rollout on."""
    add_item(session, route, part="fields", word="metric", item={"name": name, "path": path} | reading.fields())


@client(commands, "list", examples=("modelctl route metric list fraud", "modelctl route metric list fraud -o json"), outputs=LISTS)
def list_(session: Session, route: RouteName) -> None:
    """List a route's own metrics."""
    items = items_of(session, route, part="fields")
    listing = Listing(
        names=[item["name"] for item in items],
        columns=("NAME", "PATH", "TYPE", "WORSE", "LOW", "HIGH"),
        more=(),
        rows=[[plain(item.get(key)) for key in ("name", "path", "type", "worse", "low", "high")] for item in items],
    )
    show_listing(session, {"items": list(items)}, listing=listing)


@client(commands, "remove", examples=("modelctl route metric remove fraud score", "modelctl route metric remove fraud score --yes"))
def remove(session: Session, route: RouteName, *, name: MetricName, yes: Yes = False) -> None:
    """Take a metric away: it is not read any more from the next rollout on."""
    confirmed(f"Remove metric {name} of route {route}?", yes=yes)
    remove_item(session, route, part="fields", word="metric", name=name)
