"""The stable addresses: adding and removing them, and putting a previous baseline back."""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.controlplane.compiler import compile_route
from modelctl.controlplane.operations.change import Author, Change, check_revision, publish
from modelctl.errors import Conflict, InvalidInput, NotFound
from modelctl.metric import Dimension, Field
from modelctl.policy import Admission, Breaker
from modelctl.store import catalog as store
from modelctl.store.catalog import Catalog, Event, RouteEntry
from modelctl.store.engine import writing
from modelctl.store.reading import baseline_events, events
from modelctl.traffic import Capture


class NewRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A route as it is asked for."""

    name: str
    baseline: str
    path: str = "/"
    host: str = ""
    unit: str = "request"
    capture: Capture = msgspec.field(default_factory=Capture)
    admission: Admission = msgspec.field(default_factory=Admission)
    breaker: Breaker | None = None
    fields: tuple[Field, ...] = ()
    dimensions: tuple[Dimension, ...] = ()


def add_route(engine: Engine, wanted: NewRoute, *, author: Author) -> Change[RouteEntry]:
    """Registers the route; its baseline answers everything. Raises InvalidInput, NotFound for the baseline, Conflict."""
    with writing(engine) as connection:
        before = store.load(connection)
        before.backend(wanted.baseline)
        entry = RouteEntry(
            **msgspec.structs.asdict(wanted),
            revision=store.route_revision(connection, wanted.name) + 1,
            created_at=author.at,
        )
        compile_route(entry, None)
        if any(route.name == wanted.name for route in before.routes):
            raise Conflict(f"there is a route {wanted.name!r} already; choose another, or: modelctl route set {wanted.name}")
        check_address_free(before, entry)
        store.put_route(connection, entry)
        after = msgspec.structs.replace(before, routes=(*before.routes, entry))
        event = route_event("add-route", entry, author=author, baseline_from="")
        table, lost = publish(connection, before, after=after, event=event)
    return Change(subject=entry, table=table, bereft=lost)


def remove_route(engine: Engine, name: str, *, author: Author, revision: int | None = None) -> Change[RouteEntry]:
    """Takes the route out: its address answers 404 from then on. Raises NotFound, StaleRevision, Conflict for an open rollout."""
    with writing(engine) as connection:
        before = store.load(connection)
        entry = before.route(name)
        check_revision(f"route {name!r}", wanted=revision, current=entry.revision)
        refuse_open_rollout(before, name)
        removed = msgspec.structs.replace(entry, revision=entry.revision + 1)
        store.put_route(connection, removed, removed_at=author.at)
        after = msgspec.structs.replace(before, routes=tuple(route for route in before.routes if route.name != name))
        event = Event(at=author.at, actor=author.actor, action="remove-route", route=name, reason=author.reason)
        table, lost = publish(connection, before, after=after, event=event)
    return Change(subject=removed, table=table, bereft=lost)


def put_baseline_back(
    engine: Engine, name: str, *, author: Author, to: int | None = None, revision: int | None = None
) -> Change[RouteEntry]:
    """The baseline that stood before the last change of it, or the one that stood after event `to`. For no open rollout.

    Without `to` only once: whoever types it a second time, or just after automation did, has what was wanted already.
    Raises NotFound, StaleRevision, and Conflict with the reason when there is nothing to go back to.
    """
    with writing(engine) as connection:
        before = store.load(connection)
        entry = before.route(name)
        check_revision(f"route {name!r}", wanted=revision, current=entry.revision)
        refuse_open_rollout(before, name)
        changes = baseline_events(connection, name)
        if to is None:
            _refuse_again(entry, changes, done=events(connection, {"route": name, "action": "rollback"}, limit=1).items)
        baseline = _earlier_baseline(entry, changes, to=to)
        _check_registered(before, baseline)
        changed, after = repoint(connection, before, route=entry, baseline=baseline)
        event = route_event("rollback", changed, author=author, baseline_from=entry.baseline)
        table, lost = publish(connection, before, after=after, event=event)
    return Change(subject=changed, table=table, bereft=lost)


def repoint(connection: Connection, before: Catalog, *, route: RouteEntry, baseline: str) -> tuple[RouteEntry, Catalog]:
    """The route with another baseline, stored, and the catalog with it."""
    changed = msgspec.structs.replace(route, baseline=baseline, revision=route.revision + 1)
    store.put_route(connection, changed)
    routes = tuple(changed if other.name == route.name else other for other in before.routes)
    return changed, msgspec.structs.replace(before, routes=routes)


def route_event(action: str, route: RouteEntry, *, author: Author, baseline_from: str, rollout: int | None = None) -> Event:
    """A line of the history that says how the baseline pointer moved."""
    return Event(
        at=author.at,
        actor=author.actor,
        action=action,
        route=route.name,
        rollout=rollout,
        backend=route.baseline,
        reason=author.reason,
        detail={"baseline_from": baseline_from, "baseline_to": route.baseline},
    )


def refuse_open_rollout(catalog: Catalog, route: str) -> None:
    """Raises Conflict that names the commands which end the route's open rollout."""
    rollout = catalog.open_rollout(route)
    if rollout is not None:
        raise Conflict(
            f"route {route!r} has an open rollout: {rollout.id} ({rollout.strategy}, {rollout.phase}). End it first:\n"
            f"  modelctl promote {route}\n  modelctl rollback {route}"
        )


def check_address_free(catalog: Catalog, wanted: RouteEntry) -> None:
    """Raises Conflict when another route has the host and path of `wanted`."""
    for route in catalog.routes:
        if route.name != wanted.name and (route.host, route.path) == (wanted.host, wanted.path):
            where = f"{wanted.host or 'any host'}{wanted.path}"
            raise Conflict(f"route {route.name!r} has the address {where} already: one address has one route; choose another path")


def _refuse_again(route: RouteEntry, changes: Sequence[Event], *, done: Sequence[Event]) -> None:
    """Raises Conflict when the newest rollback is not older than the newest change of the baseline."""
    if not changes or not done or done[0].id < changes[0].id:
        return
    other = next((event for event in changes if event.detail["baseline_to"] != route.baseline), None)
    further = ""
    if other is not None:
        command = f"modelctl rollback {route.name} --to {other.id}"
        further = f"; to put {other.detail['baseline_to']!r} back all the same: {command}"
    raise Conflict(
        f"route {route.name!r} was rolled back already, by {done[0].actor} (event {done[0].id}), and nothing was promoted since: "
        f"{route.baseline!r} answers everything{further}"
    )


def _earlier_baseline(route: RouteEntry, events: Sequence[Event], *, to: int | None) -> str:
    """The backend to go back to. `events` are the changes of the route's baseline, newest first."""
    if to is not None:
        chosen = next((event for event in events if event.id == to), None)
        if chosen is None:
            ids = ", ".join(str(event.id) for event in events)
            raise NotFound(f"event {to} did not set the baseline of route {route.name!r}; the events that did are {ids}")
        baseline = str(chosen.detail["baseline_to"])
    else:
        baseline = str(events[0].detail["baseline_from"]) if events else ""
    if not baseline:
        raise Conflict(
            f"route {route.name!r} has no open rollout and no previous baseline: {route.baseline!r} has been its baseline "
            "from the start, so there is nothing to roll back"
        )
    if baseline == route.baseline:
        raise InvalidInput(f"{baseline!r} is the baseline of route {route.name!r} already")
    return baseline


def _check_registered(catalog: Catalog, baseline: str) -> None:
    if baseline not in {entry.name for entry in catalog.backends}:
        raise Conflict(
            f"the previous baseline {baseline!r} was removed; register it again first: modelctl backend add {baseline} URL"
        )
