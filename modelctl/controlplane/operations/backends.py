"""Registering model servers, and taking them out once nothing sends to them."""

import msgspec
from sqlalchemy import Engine

from modelctl.controlplane.operations.change import Author, Change, check_revision, publish
from modelctl.errors import Conflict
from modelctl.kinds import kind_named
from modelctl.store import catalog as store
from modelctl.store.catalog import BackendEntry, Catalog, Event
from modelctl.store.engine import writing
from modelctl.traffic import Backend


def add_backend(engine: Engine, backend: Backend, *, author: Author) -> Change[BackendEntry]:
    """Registers the backend; the routers get to know it at once. A name that was removed may be used again.

    Raises InvalidInput for an unknown kind or a prediction it cannot look for, and Conflict when the name is taken.
    """
    kind_named(backend.kind).check(backend.prediction)
    with writing(engine) as connection:
        before = store.load(connection)
        if any(entry.name == backend.name for entry in before.backends):
            raise Conflict(
                f"there is a backend {backend.name!r} already, and evidence under one name is about one model: give another "
                f"model another name; to change how this one is reached: modelctl backend set {backend.name}"
            )
        earlier = store.find_backend(connection, backend.name)
        entry = BackendEntry(backend=backend, revision=earlier.revision + 1 if earlier else 1, created_at=author.at)
        store.put_backend(connection, entry)
        after = msgspec.structs.replace(before, backends=(*before.backends, entry))
        table, lost = publish(connection, before, after=after, event=_event("add-backend", entry, author=author))
    return Change(subject=entry, table=table, bereft=lost)


def remove_backend(engine: Engine, name: str, *, author: Author, revision: int | None = None) -> Change[BackendEntry]:
    """Takes the backend out. Raises NotFound, StaleRevision, and Conflict while a route or an open rollout uses it."""
    with writing(engine) as connection:
        before = store.load(connection)
        entry = before.backend(name)
        check_revision(f"backend {name!r}", wanted=revision, current=entry.revision)
        if users := users_of(before, name):
            raise Conflict(f"backend {name!r} is in use by {' and '.join(users)}; take it out of there first")
        removed = msgspec.structs.replace(entry, revision=entry.revision + 1, removed_at=author.at)
        store.put_backend(connection, removed)
        left = tuple(other for other in before.backends if other.name != name)
        after = msgspec.structs.replace(before, backends=left)
        table, lost = publish(connection, before, after=after, event=_event("remove-backend", removed, author=author))
    return Change(subject=removed, table=table, bereft=lost)


def users_of(catalog: Catalog, backend: str) -> list[str]:
    """What needs the backend, as words: the routes whose baseline it is, and the open rollouts it takes part in."""
    routes = [f"route {route.name!r} (its baseline)" for route in catalog.routes if route.baseline == backend]
    rollouts = [
        f"rollout {rollout.id} of route {rollout.route!r} ({rollout.phase})"
        for rollout in catalog.rollouts
        if backend in (rollout.baseline, *rollout.candidates)
    ]
    return routes + rollouts


def _event(action: str, entry: BackendEntry, *, author: Author) -> Event:
    return Event(
        at=author.at,
        actor=author.actor,
        action=action,
        backend=entry.name,
        reason=author.reason,
        detail={"endpoints": list(entry.backend.endpoints), "kind": entry.backend.kind},
    )
