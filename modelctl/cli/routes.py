"""`route`: the stable addresses that clients of the models use."""

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from modelctl.cli.api import read, read_items
from modelctl.cli.command import LISTS, VIEWS, Session, client
from modelctl.cli.confirm import Yes, confirmed
from modelctl.cli.convergence import Changed
from modelctl.cli.output import show, table, write_structured
from modelctl.cli.result import Listing, show_listing, tell

commands = typer.Typer(help="Stable addresses that clients use; each has a baseline backend.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="Name of the route, such as fraud.", show_default=False)]


@client(
    commands,
    "add",
    examples=(
        "modelctl route add fraud --path /fraud --backend fraud-v6",
        "modelctl route add fraud --path /fraud --backend fraud-v6 --unit header:x-user-id",
    ),
)
def add(
    session: Session,
    name: Name,
    *,
    path: Annotated[str, typer.Option(help="Path prefix clients use.", show_default=False)],
    backend: Annotated[str, typer.Option(help="The baseline: it answers until something better is promoted.", show_default=False)],
    host: Annotated[str, typer.Option(help="Only requests to this host name.")] = "",
    unit: Annotated[str, typer.Option(help="What stays on one arm: request, or header:NAME.")] = "request",
) -> None:
    """Open an address for clients and say which backend answers at it."""
    spec = {"name": name, "path": path, "baseline": backend, "unit": unit} | ({"host": host} if host else {})
    route = session.api.post("/v1/routes", spec)
    tell(
        session,
        route,
        name=name,
        sentence=f"added route {name} at {host}{path} · {backend} answers it · next: modelctl shadow {name} CANDIDATE",
    )
    read(route, Changed).convergence.require_of_connected()


@client(commands, "list", examples=("modelctl route list", "modelctl route list -o json"), outputs=LISTS)
def list_(session: Session) -> None:
    """List the routes."""
    answer = session.api.get("/v1/routes")
    rows = read_items(answer, RouteRow)
    columns = ("NAME", "ADDRESS", "BASELINE", "ROLLOUT", "UNIT")
    cells = [row.cells for row in rows]
    show_listing(session, answer, listing=Listing(names=[row.name for row in rows], columns=columns, more=("CAPTURE",), rows=cells))


@client(commands, "show", examples=("modelctl route show fraud", "modelctl route show fraud -o json"), outputs=VIEWS)
def show_(session: Session, name: Name) -> None:
    """Show everything about one route."""
    route = session.api.get(address(name))
    if session.structured:
        write_structured(route, session.output)
    else:
        show(table(["FIELD", "VALUE"], [[field, _plain(value)] for field, value in route.items()]))


@client(commands, "remove", examples=("modelctl route remove fraud", "modelctl route remove fraud --yes"))
def remove(session: Session, name: Name, *, yes: Yes = False) -> None:
    """Close an address: its clients get 404 from then on. What was recorded stays."""
    confirmed(f"Remove route {name}? Its clients get 404 from then on.", yes=yes)
    answer = session.api.delete(address(name))
    tell(session, answer, name=name, sentence=f"removed route {name}")
    read(answer, Changed).convergence.require_of_connected()


class RouteRow(msgspec.Struct, frozen=True):
    """What a list shows of a route."""

    name: str
    path: str
    baseline: str
    host: str = ""
    unit: str = ""
    rollout: int | None = None
    capture: dict[str, Any] = {}

    @property
    def cells(self) -> list[str]:
        """In the order of the list's columns."""
        rollout = "-" if self.rollout is None else str(self.rollout)
        kept = " ".join(f"{name}={_plain(value)}" for name, value in self.capture.items())
        return [self.name, f"{self.host}{self.path}", self.baseline, rollout, self.unit, kept]


def address(name: str) -> str:
    """The path of one route in the API."""
    return f"/v1/routes/{quote(name, safe='')}"


def _plain(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
