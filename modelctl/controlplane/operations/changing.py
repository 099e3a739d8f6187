"""Changing what is registered, with the names kept: how a backend is reached, what a route lets in."""

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.asking import differences, merged
from modelctl.controlplane.compiler import compile_route
from modelctl.controlplane.operations.change import Author, Change, check_revision, publish
from modelctl.controlplane.operations.routes import NewRoute, check_address_free, refuse_open_rollout
from modelctl.errors import Conflict
from modelctl.kinds import kind_named
from modelctl.store import catalog as store
from modelctl.store.catalog import BackendEntry, Catalog, Event, RouteEntry
from modelctl.store.engine import writing
from modelctl.traffic import Backend

# What an answer of the backend is taken to say.
_READING = ("kind", "prediction", "prediction_type")


def change_backend(
    engine: Engine, name: str, *, changes: msgspec.Struct, author: Author, revision: int | None = None
) -> Change[BackendEntry]:
    """The backend with `changes` (asking.partial of Backend) merged in; routers take it over while it serves.

    Raises NotFound, StaleRevision, InvalidInput; Conflict when answers of an open rollout would be read in another way from now on.
    """
    with writing(engine) as connection:
        before = store.load(connection)
        entry = before.backend(name)
        check_revision(f"backend {name!r}", wanted=revision, current=entry.revision)
        backend = merged(entry.backend, changes)
        kind_named(backend.kind).check(backend.prediction)
        _refuse_another_reading(before, entry.backend, after=backend)
        changed = msgspec.structs.replace(entry, backend=backend, revision=entry.revision + 1)
        store.put_backend(connection, changed)
        backends = tuple(changed if other.name == name else other for other in before.backends)
        event = Event(
            at=author.at,
            actor=author.actor,
            action="change-backend",
            backend=name,
            reason=author.reason,
            detail=differences(entry.backend, backend),
        )
        after = msgspec.structs.replace(before, backends=backends)
        table, lost = publish(connection, before, after=after, event=event)
    return Change(subject=changed, table=table, bereft=lost)


def change_route(
    engine: Engine, name: str, *, changes: msgspec.Struct, author: Author, revision: int | None = None
) -> Change[RouteEntry]:
    """The route with `changes` (asking.partial of NewRoute without its name and baseline) merged in.

    Raises NotFound, StaleRevision, InvalidInput; Conflict for an address that is taken, and for another unit during a rollout.
    """
    with writing(engine) as connection:
        before = store.load(connection)
        entry = before.route(name)
        check_revision(f"route {name!r}", wanted=revision, current=entry.revision)
        old = _asked(entry)
        new = merged(old, changes)
        changed = msgspec.structs.replace(entry, **msgspec.structs.asdict(new), revision=entry.revision + 1)
        compile_route(changed, None)
        check_address_free(before, changed)
        if changed.unit != entry.unit:
            refuse_open_rollout(before, name)
        store.put_route(connection, changed)
        routes = tuple(changed if other.name == name else other for other in before.routes)
        event = Event(
            at=author.at,
            actor=author.actor,
            action="change-route",
            route=name,
            reason=author.reason,
            detail=differences(old, new),
        )
        table, lost = publish(connection, before, after=msgspec.structs.replace(before, routes=routes), event=event)
    return Change(subject=changed, table=table, bereft=lost)


def _asked(entry: RouteEntry) -> NewRoute:
    """The route as somebody would ask for it now."""
    return NewRoute(**{field: getattr(entry, field) for field in NewRoute.__struct_fields__})


def _refuse_another_reading(catalog: Catalog, before: Backend, *, after: Backend) -> None:
    changed = [field for field in _READING if getattr(before, field) != getattr(after, field)]
    users = [rollout for rollout in catalog.rollouts if before.name in (rollout.baseline, *rollout.candidates)]
    if changed and users:
        route = users[0].route
        raise Conflict(
            f"{' and '.join(changed)} of backend {before.name!r} cannot change while rollout {users[0].id} of route {route!r} is "
            f"open: its evidence would be read in two ways. End it first:\n  modelctl promote {route}\n  modelctl rollback {route}"
        )
