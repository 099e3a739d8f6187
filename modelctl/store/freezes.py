"""Freeze windows as they are stored. Every function takes the connection of the caller's transaction."""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from modelctl.errors import NotFound
from modelctl.freeze import Freeze
from modelctl.store.tables import freeze_window as table


def load(connection: Connection) -> tuple[Freeze, ...]:
    """Every freeze that was not removed, from first to last."""
    rows = connection.execute(select(table).where(table.c.removed_at.is_(None)).order_by(table.c.id))
    return tuple(_freeze(row) for row in rows)


def add(connection: Connection, freeze: Freeze, *, at: int) -> Freeze:
    """The freeze with the id it got. `at` is in Unix microseconds."""
    values = {
        "route": freeze.route,
        "spec": msgspec.json.encode(freeze, order="deterministic").decode(),
        "actor": freeze.actor,
        "reason": freeze.reason,
        "created_at": at,
    }
    key = connection.execute(insert(table).values(values)).inserted_primary_key
    return msgspec.structs.replace(freeze, id=int(key[0]) if key else 0)


def remove(connection: Connection, freeze: int, *, at: int) -> Freeze:
    """Takes the freeze out at a Unix microsecond. Raises NotFound."""
    row = connection.execute(select(table).where(table.c.id == freeze, table.c.removed_at.is_(None))).one_or_none()
    if row is None:
        raise NotFound(f"there is no freeze {freeze}; list them with: modelctl freeze list")
    connection.execute(update(table).where(table.c.id == freeze).values(removed_at=at))
    return _freeze(row)


def _freeze(row: Row[Any]) -> Freeze:
    return msgspec.structs.replace(msgspec.json.decode(row.spec, type=Freeze), id=row.id)
