"""Declaring times in which traffic is not moved towards a candidate."""

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.automation.wall_clock import minute_of_week
from modelctl.controlplane.operations.change import Author
from modelctl.errors import InvalidInput
from modelctl.freeze import Freeze, Weekly, freeze_text
from modelctl.store import catalog, freezes
from modelctl.store.catalog import Event
from modelctl.store.engine import reading, writing


class NewFreeze(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A freeze as it is asked for: weekly, or from now or `from_at` until `until_at` (Unix ms; 0: until it is removed)."""

    route: str | None = None
    weekly: Weekly | None = None
    from_at: int = 0
    until_at: int = 0
    reason: str = ""
    actor: str = ""


def add_freeze(engine: Engine, wanted: NewFreeze, *, author: Author) -> Freeze:
    """Declares the freeze. Raises NotFound for the route, and InvalidInput for times that cannot be."""
    freeze = Freeze(
        route=wanted.route,
        weekly=wanted.weekly,
        from_at=wanted.from_at,
        until_at=wanted.until_at,
        actor=author.actor,
        reason=author.reason,
    )
    if freeze.weekly is not None:
        minute_of_week(freeze.weekly.zone, author.at // 1000)
    if freeze.until_at and freeze.until_at <= author.at // 1000:
        raise InvalidInput("the freeze would be over already: its end lies in the past")
    with writing(engine) as connection:
        if freeze.route is not None:
            catalog.load(connection).route(freeze.route)
        added = freezes.add(connection, freeze, at=author.at)
        catalog.append_event(connection, _event("add-freeze", added, author=author))
    return added


def remove_freeze(engine: Engine, freeze: int, *, author: Author) -> Freeze:
    """Takes the freeze out. Raises NotFound."""
    with writing(engine) as connection:
        removed = freezes.remove(connection, freeze, at=author.at)
        catalog.append_event(connection, _event("remove-freeze", removed, author=author))
    return removed


def read_freezes(engine: Engine) -> tuple[Freeze, ...]:
    """Every freeze that was not removed."""
    with reading(engine) as connection:
        return freezes.load(connection)


def _event(action: str, freeze: Freeze, *, author: Author) -> Event:
    detail = {"freeze": freeze.id, "when": freeze_text(freeze), "from_at": freeze.from_at, "until_at": freeze.until_at}
    return Event(at=author.at, actor=author.actor, action=action, route=freeze.route, reason=author.reason, detail=detail)
