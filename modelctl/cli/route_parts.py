"""The lists of a route that are changed one item at a time: its own metrics and its dimensions."""

from collections.abc import Sequence
from typing import Any

import msgspec

from modelctl.cli.api import Json, read
from modelctl.cli.command import Session
from modelctl.cli.convergence import Changed
from modelctl.cli.result import tell
from modelctl.cli.routes import address
from modelctl.errors import Conflict, NotFound

Item = dict[str, Any]


class Parts(msgspec.Struct, frozen=True):
    """What is read of a route."""

    revision: int
    fields: tuple[Item, ...] = ()
    dimensions: tuple[Item, ...] = ()


def items_of(session: Session, route: str, *, part: str) -> tuple[Item, ...]:
    """The items of `fields` or `dimensions`."""
    found: tuple[Item, ...] = getattr(_read(session, route), part)
    return found


def add_item(session: Session, route: str, *, part: str, word: str, item: Item) -> None:
    """Adds an item under a name that is free. Raises Conflict, also when somebody changed the route in between."""
    before = _read(session, route)
    items: tuple[Item, ...] = getattr(before, part)
    if any(other["name"] == item["name"] for other in items):
        name = item["name"]
        raise Conflict(f"route {route} has a {word} {name} already; remove it first: modelctl route {word} remove {route} {name}")
    answer = _replace(session, route, part=part, items=(*items, item), revision=before.revision)
    _told(session, answer, name=item["name"], sentence=f"added {word} {item['name']} to route {route}")


def remove_item(session: Session, route: str, *, part: str, word: str, name: str) -> None:
    """Removes the item of that name. Raises NotFound, naming those there are."""
    before = _read(session, route)
    items: tuple[Item, ...] = getattr(before, part)
    left = tuple(other for other in items if other["name"] != name)
    if len(left) == len(items):
        there_are = ", ".join(other["name"] for other in items) or "none"
        raise NotFound(f"route {route} has no {word} {name!r}; it has {there_are}")
    answer = _replace(session, route, part=part, items=left, revision=before.revision)
    _told(session, answer, name=name, sentence=f"removed {word} {name} from route {route}")


def _read(session: Session, route: str) -> Parts:
    return read(session.api.get(address(route)), Parts)


def _replace(session: Session, route: str, *, part: str, items: Sequence[Item], revision: int) -> Json:
    return session.api.patch(address(route), {part: list(items)}, revision=revision)


def _told(session: Session, answer: Json, *, name: str, sentence: str) -> None:
    changed = read(answer, Changed).convergence
    later = "an open rollout goes on with what was declared when it started"
    tell(session, answer, name=name, sentence=" · ".join([sentence, *changed.sentences, later]))
    changed.require_of_connected()
