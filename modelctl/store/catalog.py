"""What the control plane decides about: backends, routes, rollouts, their stages and history, and the tables it published.

Every function takes the connection of the caller's transaction. Times are Unix microseconds unless said. Writes compare
and swap: on the revision of a rollout, and on the version of the routing table, which every command raises by one. So of two
commands that overlap, one is stored and the other gets Conflict, on every database.
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, Table, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from modelctl.errors import Conflict, NotFound
from modelctl.metric import Dimension, Field
from modelctl.policy import Admission, Breaker
from modelctl.rollout import OPEN, Phase, Rollout, Stage
from modelctl.store import tables
from modelctl.traffic import Arm, Backend, Capture, RoutingTable, encode_table

T = TypeVar("T")


class BackendEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A backend as it is registered. `removed_at` is 0 while it is live."""

    backend: Backend
    revision: int = 1
    created_at: int
    removed_at: int = 0

    @property
    def name(self) -> str:
        return self.backend.name


class RouteEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A route as it is registered: address, policies, the explicit pointer to its baseline. Its shares follow from its rollout."""

    name: str
    path: str = "/"
    host: str = ""
    unit: str = "request"
    capture: Capture = msgspec.field(default_factory=Capture)
    admission: Admission = msgspec.field(default_factory=Admission)
    breaker: Breaker | None = None
    fields: tuple[Field, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    baseline: str
    revision: int = 1
    created_at: int


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the history: who did what, why, and what it meant."""

    id: int = 0
    at: int
    actor: str
    action: str
    route: str | None = None
    rollout: int | None = None
    backend: str | None = None
    reason: str = ""
    detail: dict[str, Any] = msgspec.field(default_factory=dict)


class StoredTable(msgspec.Struct, frozen=True):
    """A published routing table in the bytes that routers get."""

    version: int
    body: bytes


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """Everything live, at one version: what a command is decided on. `rollouts` are the open ones."""

    version: int = 0
    backends: tuple[BackendEntry, ...] = ()
    routes: tuple[RouteEntry, ...] = ()
    rollouts: tuple[Rollout, ...] = ()

    def backend(self, name: str) -> BackendEntry:
        """Raises NotFound, naming the backends there are."""
        return _named(self.backends, name, noun="backend")

    def route(self, name: str) -> RouteEntry:
        """Raises NotFound, naming the routes there are."""
        return _named(self.routes, name, noun="route")

    def open_rollout(self, route: str) -> Rollout | None:
        """The rollout that decides about the route's traffic now."""
        return next((rollout for rollout in self.rollouts if rollout.route == route), None)


def _named(entries: Iterable[T], name: str, *, noun: str) -> T:
    known = {entry.name: entry for entry in entries}  # type: ignore[attr-defined]
    if name not in known:
        there_are = f"there are {', '.join(sorted(known))}" if known else f"there is none yet: modelctl {noun} add"
        raise NotFound(f"there is no {noun} {name!r}; {there_are}")
    return known[name]


def load(connection: Connection) -> Catalog:
    """The live catalog. The version is read first, so a change in between makes the caller's own publishing fail, not go stale."""
    version = connection.execute(select(func.max(tables.routing_table.c.version))).scalar() or 0
    return Catalog(
        version=version,
        backends=tuple(_backend(row) for row in _live(connection, tables.backend)),
        routes=tuple(_route(row) for row in _live(connection, tables.route)),
        rollouts=tuple(_open_rollouts(connection)),
    )


def _live(connection: Connection, table: Table) -> list[Row[Any]]:
    return list(connection.execute(select(table).where(table.c.removed_at.is_(None)).order_by(table.c.name)))


def _open_rollouts(connection: Connection) -> list[Rollout]:
    table = tables.rollout
    rows = connection.execute(select(table).where(table.c.phase.in_([phase.value for phase in OPEN])).order_by(table.c.id))
    return [read_rollout(row) for row in rows]


def find_backend(connection: Connection, name: str) -> BackendEntry | None:
    """The entry of a backend, removed or not."""
    row = connection.execute(select(tables.backend).where(tables.backend.c.name == name)).one_or_none()
    return None if row is None else _backend(row)


def put_backend(connection: Connection, entry: BackendEntry) -> None:
    """Writes the entry, in place of one that was removed earlier."""
    row = {
        "spec": _text(entry.backend),
        "revision": entry.revision,
        "created_at": entry.created_at,
        "removed_at": entry.removed_at or None,
    }
    _put(connection, tables.backend, name=entry.name, row=row)


def find_route(connection: Connection, name: str) -> RouteEntry:
    """The entry of a route, removed or not. Raises NotFound."""
    row = connection.execute(select(tables.route).where(tables.route.c.name == name)).one_or_none()
    if row is None:
        raise NotFound(f"there is no route {name!r}; list them with: modelctl route list")
    return _route(row)


def route_revision(connection: Connection, name: str) -> int:
    """The last revision a route of this name had, removed or not; 0 for a new name."""
    return connection.execute(select(tables.route.c.revision).where(tables.route.c.name == name)).scalar() or 0


def put_route(connection: Connection, entry: RouteEntry, *, removed_at: int = 0) -> None:
    """Writes the entry, in place of what the name had before."""
    row = {
        "path": entry.path,
        "host": entry.host,
        "unit": entry.unit,
        "capture": _text(entry.capture),
        "admission": _text(entry.admission),
        "breaker": _text(entry.breaker),
        "fields": _text(entry.fields),
        "dimensions": _text(entry.dimensions),
        "baseline": entry.baseline,
        "revision": entry.revision,
        "created_at": entry.created_at,
        "removed_at": removed_at or None,
    }
    _put(connection, tables.route, name=entry.name, row=row)


def _put(connection: Connection, table: Table, *, name: str, row: dict[str, Any]) -> None:
    if not connection.execute(update(table).where(table.c.name == name).values(**row)).rowcount:
        connection.execute(insert(table).values(name=name, **row))


def insert_rollout(connection: Connection, rollout: Rollout) -> Rollout:
    """The rollout with the id it got. Raises Conflict when its route has an open one."""
    try:
        result = connection.execute(insert(tables.rollout).values(**_rollout_row(rollout)))
    except IntegrityError:
        raise _overtaken(f"the rollout of route {rollout.route!r}") from None
    key = result.inserted_primary_key
    return msgspec.structs.replace(rollout, id=int(key[0]) if key else 0)


def save_rollout(connection: Connection, rollout: Rollout, *, replaces: int) -> None:
    """Stores the rollout over its revision `replaces`. Raises Conflict when that is no longer the stored one."""
    table = tables.rollout
    swap = update(table).where(table.c.id == rollout.id, table.c.revision == replaces).values(**_rollout_row(rollout))
    if connection.execute(swap).rowcount != 1:
        raise _overtaken(f"rollout {rollout.id}")


def find_rollout(connection: Connection, rollout: int) -> Rollout:
    """Raises NotFound."""
    row = connection.execute(select(tables.rollout).where(tables.rollout.c.id == rollout)).one_or_none()
    if row is None:
        raise NotFound(f"there is no rollout {rollout}; list them with: modelctl list")
    return read_rollout(row)


def last_rollout(connection: Connection, route: str) -> Rollout | None:
    """The route's newest rollout, open or ended."""
    table = tables.rollout
    row = connection.execute(select(table).where(table.c.route == route).order_by(table.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else read_rollout(row)


def open_stage(connection: Connection, rollout: Rollout, *, arms: tuple[Arm, ...], at: int) -> int:
    """The id of a new stage of the rollout."""
    values = {"rollout": rollout.id, "route": rollout.route, "arms": _text(arms), "opened_at": at}
    key = connection.execute(insert(tables.stage).values(**values)).inserted_primary_key
    return int(key[0]) if key else 0


def close_stages(connection: Connection, rollout: int, *, at: int) -> None:
    """Ends whatever stage of the rollout is open."""
    table = tables.stage
    connection.execute(update(table).where(table.c.rollout == rollout, table.c.closed_at == 0).values(closed_at=at))


def stages(connection: Connection, rollout: int) -> tuple[Stage, ...]:
    """The rollout's stages from first to last, with times in milliseconds as the noun has them."""
    rows = connection.execute(select(tables.stage).where(tables.stage.c.rollout == rollout).order_by(tables.stage.c.id))
    return tuple(
        Stage(
            id=row.id,
            rollout=row.rollout,
            arms=msgspec.json.decode(row.arms, type=tuple[Arm, ...]),
            opened_at=row.opened_at // 1000,
            closed_at=row.closed_at // 1000,
        )
        for row in rows
    )


def append_event(connection: Connection, event: Event) -> int:
    """The id of the new line of the history."""
    row = msgspec.structs.asdict(event) | {"detail": _text(event.detail)}
    del row["id"]
    key = connection.execute(insert(tables.event).values(**row)).inserted_primary_key
    return int(key[0]) if key else 0


def read_event(row: Row[Any]) -> Event:
    """The event in a row of the table `event`."""
    return Event(**{**row._mapping, "detail": msgspec.json.decode(row.detail or "{}")})


def publish_table(connection: Connection, table: RoutingTable, *, author: str, reason: str, at: int) -> StoredTable:
    """Stores the table under its version. Raises Conflict when another command took that version."""
    body = encode_table(table)
    row = {
        "version": table.version,
        "body": body.decode(),
        "sha256": sha256(body).hexdigest(),
        "author": author,
        "reason": reason,
        "created_at": at,
    }
    try:
        connection.execute(insert(tables.routing_table).values(**row))
    except IntegrityError:
        raise _overtaken("the routing table") from None
    return StoredTable(table.version, body)


def newest_table(connection: Connection) -> StoredTable | None:
    """The table that routers should serve from; None before the first command."""
    table = tables.routing_table
    row = connection.execute(select(table.c.version, table.c.body).order_by(table.c.version.desc()).limit(1)).one_or_none()
    return None if row is None else StoredTable(row.version, row.body.encode())


def newer_table(connection: Connection, version: int) -> StoredTable | None:
    """The newest table when it is newer than `version`."""
    table = tables.routing_table
    newer = select(table.c.version, table.c.body).where(table.c.version > version).order_by(table.c.version.desc()).limit(1)
    row = connection.execute(newer).one_or_none()
    return None if row is None else StoredTable(row.version, row.body.encode())


def promoted(connection: Connection) -> tuple[Rollout, ...]:
    """The last rollout of every route, where it was promoted."""
    table = tables.rollout
    last = select(func.max(table.c.id)).group_by(table.c.route)
    rows = connection.execute(select(table).where(table.c.id.in_(last), table.c.phase == Phase.PROMOTED.value).order_by(table.c.id))
    return tuple(read_rollout(row) for row in rows)


def open_rollouts(connection: Connection) -> tuple[Rollout, ...]:
    """Every open rollout, from first to last."""
    return tuple(_open_rollouts(connection))


def _overtaken(what: str) -> Conflict:
    return Conflict(f"{what} was changed by another command at the same moment; look at the state now and repeat: modelctl status")


@lru_cache(maxsize=16_384)
def _spec(text: str, type_: Any) -> Any:  # noqa: ANN401 the type says what comes back
    """What a text of the catalog says. Values are frozen, and most texts were read before: to read them anew costs the most."""
    return msgspec.json.decode(text, type=type_)


def _backend(row: Row[Any]) -> BackendEntry:
    return BackendEntry(
        backend=_spec(row.spec, Backend),
        revision=row.revision,
        created_at=row.created_at,
        removed_at=row.removed_at or 0,
    )


def _route(row: Row[Any]) -> RouteEntry:
    return RouteEntry(
        name=row.name,
        path=row.path,
        host=row.host,
        unit=row.unit,
        capture=_spec(row.capture, Capture),
        admission=_spec(row.admission, Admission),
        breaker=_spec(row.breaker, Breaker | None),
        fields=_spec(row.fields, tuple[Field, ...]),
        dimensions=_spec(row.dimensions, tuple[Dimension, ...]),
        baseline=row.baseline,
        revision=row.revision,
        created_at=row.created_at,
    )


def read_rollout(row: Row[Any]) -> Rollout:
    """The rollout in a row of the table `rollout`."""
    return msgspec.structs.replace(msgspec.json.decode(row.spec, type=Rollout), id=row.id)


def _rollout_row(rollout: Rollout) -> dict[str, Any]:
    return {
        "route": rollout.route,
        "strategy": rollout.strategy,
        "phase": rollout.phase.value,
        "spec": _text(rollout),
        "revision": rollout.revision,
        "opened_at": rollout.opened_at * 1000,
        "closed_at": rollout.closed_at * 1000,
    }


def _text(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
