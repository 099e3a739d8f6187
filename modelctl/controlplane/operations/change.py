"""The common course of every command that changes traffic: who asks, and what came of it."""

from typing import Generic, TypeVar

import msgspec
from sqlalchemy import Connection

from modelctl.controlplane.compiler import bereft, compile_catalog
from modelctl.errors import StaleRevision
from modelctl.rollout import Rollout
from modelctl.store import catalog as store
from modelctl.store.catalog import Catalog, Event, StoredTable

T = TypeVar("T")


class Author(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for a change, why, and when it arrived (Unix microseconds)."""

    actor: str
    reason: str = ""
    at: int


class Change(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """What a command left behind: the thing it changed, the table it published, the backends that lost all requests of a route.

    `inferred` holds a sentence for each thing the command was not told.
    """

    subject: T
    table: StoredTable
    bereft: tuple[str, ...] = ()
    inferred: tuple[str, ...] = ()


def publish(connection: Connection, before: Catalog, *, after: Catalog, event: Event) -> tuple[StoredTable, tuple[str, ...]]:
    """Writes the event and the next table. Raises Conflict when another command published since `before` was loaded."""
    after = msgspec.structs.replace(after, version=before.version + 1)
    table = compile_catalog(after)
    stored = store.publish_table(connection, table, author=event.actor, reason=event.reason or event.action, at=event.at)
    store.append_event(connection, event)
    return stored, bereft(compile_catalog(before), table)


def store_stages(connection: Connection, current: Rollout, *, moved: Rollout, at: int) -> Rollout:
    """The moved rollout, saved, with the stage it is in now. Only a change of shares opens a stage; pausing stays in its own."""
    if not moved.open or moved.current.arms != current.current.arms:
        store.close_stages(connection, moved.id, at=at)
        if moved.open:
            stage = store.open_stage(connection, moved, arms=moved.current.arms, at=at)
            moved = msgspec.structs.replace(moved, stage=stage)
    store.save_rollout(connection, moved, replaces=current.revision)
    return moved


def check_revision(what: str, *, wanted: int | None, current: int) -> None:
    """Raises StaleRevision when the caller decided on another revision than the current one. None asks for nothing."""
    if wanted is not None and wanted != current:
        raise StaleRevision(
            f"{what} is at revision {current} and you asked to change revision {wanted}: somebody changed it; look at it again"
        )
