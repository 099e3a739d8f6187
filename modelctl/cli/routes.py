"""`route`: the stable addresses that clients of the models use."""

from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import typer

from modelctl.cli.api import read, read_items
from modelctl.cli.changes import Reset, change_of, named
from modelctl.cli.command import LISTS, VIEWS, Session, client
from modelctl.cli.confirm import Yes, confirmed
from modelctl.cli.convergence import Changed
from modelctl.cli.fields import field_rows, plain
from modelctl.cli.output import show, table, write_structured
from modelctl.cli.result import Listing, show_listing, tell
from modelctl.cli.route_options import RouteOptions
from modelctl.errors import InvalidInput

commands = typer.Typer(help="Stable addresses that clients use; each has a baseline backend.", no_args_is_help=True)

# What holds the keys of a route.
_OPENING = ("admission", "admission.keys")

Name = Annotated[str, typer.Argument(help="Name of the route, such as fraud.", show_default=False)]


@client(
    commands,
    "add",
    examples=(
        "modelctl route add fraud --path /fraud --backend fraud-v6",
        "modelctl route add fraud --path /fraud --backend fraud-v6 --unit header:x-user-id --deny /admin --rate 100/60s --breaker",
    ),
)
def add(
    session: Session,
    name: Name,
    *,
    path: Annotated[str, typer.Option(help="Path prefix clients use.", show_default=False)],
    backend: Annotated[str, typer.Option(help="The baseline: it answers until something better is promoted.", show_default=False)],
    options: RouteOptions,
) -> None:
    """Open an address for clients and say which backend answers at it."""
    route = session.api.post("/v1/routes", {"name": name, "path": path, "baseline": backend} | options.fields())
    where = f"{options.host or ''}{path}"
    tell(
        session,
        route,
        name=name,
        sentence=f"added route {name} at {where} · {backend} answers it · next: modelctl shadow {name} CANDIDATE",
    )
    read(route, Changed).convergence.require_of_connected()


@client(
    commands,
    "set",
    examples=(
        "modelctl route set fraud --max-body 10MiB --rate 100/60s --rate-by key",
        "modelctl route set fraud --deny /admin --deny /metrics --breaker --reset admission.rate",
    ),
)
def set_(
    session: Session,
    name: Name,
    *,
    path: Annotated[str | None, typer.Option(help="Path prefix clients use from now on.", show_default=False)] = None,
    options: RouteOptions,
    reset: Reset = None,
) -> None:
    """Change the address of a route, or what it lets in and keeps. What is not named stays; a list replaces the one before."""
    if any(name in _OPENING for name in reset or []):
        raise InvalidInput(f"that would open route {name} to everybody; take its keys back by name: modelctl route key revoke")
    change = change_of(options.fields() | ({} if path is None else {"path": path}), reset or [])
    route = session.api.patch(address(name), change)
    changed = read(route, Changed).convergence
    sentence = " · ".join([f"changed {named(change)} of route {name}", *changed.sentences])
    tell(session, route, name=name, sentence=sentence)
    changed.require_of_connected()


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
        show(table(["FIELD", "VALUE"], list(field_rows(route))))


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
        kept = " ".join(f"{name}={plain(value)}" for name, value in self.capture.items())
        return [self.name, f"{self.host}{self.path}", self.baseline, rollout, self.unit, kept]


def address(name: str) -> str:
    """The path of one route in the API."""
    return f"/v1/routes/{quote(name, safe='')}"
