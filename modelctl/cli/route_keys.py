"""`route key`: who may ask at a route. A key is made here and shown once; the control plane only ever gets its SHA-256."""

import secrets
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

import msgspec
import typer

from modelctl.cli.api import Json, read
from modelctl.cli.command import LISTS, OBJECTS, VIEWS, Session, client
from modelctl.cli.confirm import Yes, confirmed
from modelctl.cli.convergence import Changed
from modelctl.cli.output import note, write_structured, write_text
from modelctl.cli.result import Listing, show_listing, tell
from modelctl.cli.routes import address
from modelctl.errors import Conflict, NotFound

commands = typer.Typer(help="Keys that open a route; without any, everybody may ask.", no_args_is_help=True)

PREFIX = "mk_"  # so that people and scanners of leaked secrets know one when they see it
_KEY_BYTES = 32

RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="Name of the route, such as fraud.", show_default=False)]
KeyName = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, such as mobile-app.", show_default=False)]


class Key(msgspec.Struct, frozen=True):
    """A key as the control plane knows it."""

    name: str
    sha256: str


class _Admission(msgspec.Struct, frozen=True):
    keys: tuple[Key, ...] = ()


class _Route(msgspec.Struct, frozen=True):
    admission: _Admission
    revision: int


@client(
    commands,
    "add",
    examples=("modelctl route key add fraud mobile-app", "modelctl route key add fraud batch-jobs -o json"),
    outputs=VIEWS,
)
def add(session: Session, route: RouteName, *, name: KeyName) -> None:
    """Make a key and print it once: only its hash is kept. From the first key on, requests without one get 401."""
    found = read(session.api.get(address(route)), _Route)
    if any(key.name == name for key in found.admission.keys):
        raise Conflict(f"route {route} has a key {name} already; revoke it first: modelctl route key revoke {route} {name}")
    secret = PREFIX + secrets.token_urlsafe(_KEY_BYTES)
    made = Key(name, sha256(secret.encode()).hexdigest())
    answer = _replace(session, route, keys=(*found.admission.keys, made), revision=found.revision)
    if session.structured:
        write_structured({"route": route, "name": name, "sha256": made.sha256, "key": secret}, session.output)
    else:
        write_text(secret)
    note(f"this is the only time the key {name} of route {route} is shown; clients send it as `Authorization: Bearer KEY`")
    read(answer, Changed).convergence.require_of_connected()


@client(commands, "list", examples=("modelctl route key list fraud", "modelctl route key list fraud -o json"), outputs=LISTS)
def list_(session: Session, route: RouteName) -> None:
    """List the keys of a route by name and hash; the keys themselves are not known to anybody but their owners."""
    keys = read(session.api.get(address(route)), _Route).admission.keys
    listing = Listing(
        names=[key.name for key in keys],
        columns=("NAME", "FINGERPRINT"),
        more=("SHA-256",),
        rows=[[key.name, key.sha256[:12], key.sha256] for key in keys],
    )
    show_listing(session, {"items": msgspec.to_builtins(keys)}, listing=listing)


@client(
    commands,
    "revoke",
    examples=("modelctl route key revoke fraud mobile-app", "modelctl route key revoke fraud mobile-app --yes"),
    outputs=OBJECTS,
)
def revoke(
    session: Session,
    route: RouteName,
    *,
    name: KeyName,
    open_: Annotated[bool, typer.Option("--open", help="Also when it is the last: everybody may ask then.")] = False,
    yes: Yes = False,
) -> None:
    """Take a key back: requests that show it get 401 as soon as the routers know."""
    found = read(session.api.get(address(route)), _Route)
    left = tuple(key for key in found.admission.keys if key.name != name)
    if len(left) == len(found.admission.keys):
        raise NotFound(f"route {route} has no key {name!r}; it has {', '.join(key.name for key in left) or 'none'}")
    if not left and not open_:
        raise Conflict(
            f"{name} is the only key of route {route}, and a route without keys is open to everybody: add another key first, "
            f"or say that you want that:\n  modelctl route key add {route} NAME\n  modelctl route key revoke {route} {name} --open"
        )
    confirmed(f"Revoke key {name} of route {route}?", yes=yes)
    answer = _replace(session, route, keys=left, revision=found.revision)
    changed = read(answer, Changed).convergence
    left_over = "" if left else " · everybody may ask now"
    tell(session, answer, name=name, sentence=" · ".join([f"revoked key {name} of route {route}{left_over}", *changed.sentences]))
    changed.require_of_connected()


def _replace(session: Session, route: str, *, keys: Sequence[Key], revision: int) -> Json:
    """The keys in place of those of the revision that was read, so that nobody's change is lost."""
    change = {"admission": {"keys": [{"name": key.name, "sha256": key.sha256} for key in keys]}}
    return session.api.patch(address(route), change, revision=revision)
