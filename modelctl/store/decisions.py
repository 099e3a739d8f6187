"""Latched decisions: the first time the evidence of a rollout said something, and all it was said from.

Every function takes the connection of the caller's transaction. Times are Unix microseconds.
"""

from typing import Any

import msgspec
from sqlalchemy import Connection, Row, insert, select, update

from modelctl.errors import NotFound
from modelctl.store.tables import decision as table


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One row. `kind` is a verdict's word, `advance:STEP` for a passed gate, or `watch`; `acted` is the verb that followed it."""

    id: int = 0
    rollout: int
    kind: str
    at: int
    sentence: str
    acted: str = ""


def latched(connection: Connection, rollout: int) -> tuple[Decision, ...]:
    """What has been decided about the rollout, from first to last."""
    rows = connection.execute(select(*_columns()).where(table.c.rollout == rollout).order_by(table.c.id))
    return tuple(_decision(row) for row in rows)


def latch(connection: Connection, decision: Decision, *, bundle: bytes) -> Decision:
    """Writes the decision down. A second one of its kind fails the transaction with Conflict: the first never changes."""
    values = msgspec.structs.asdict(decision) | {"bundle": bundle.decode()}
    del values["id"]
    key = connection.execute(insert(table).values(values)).inserted_primary_key
    return msgspec.structs.replace(decision, id=int(key[0]) if key else 0)


def acted(connection: Connection, rollout: int, *, kind: str, verb: str) -> None:
    """Notes what followed from a decision. What is noted already stays."""
    mine = (table.c.rollout == rollout, table.c.kind == kind, table.c.acted == "")
    connection.execute(update(table).where(*mine).values(acted=verb))


def bundle_of(connection: Connection, decision: int) -> bytes:
    """The evidence bundle of a decision, as it was written. Raises NotFound."""
    found = connection.execute(select(table.c.bundle).where(table.c.id == decision)).scalar()
    if found is None:
        raise NotFound(f"there is no decision {decision}; `modelctl status` lists those of open rollouts")
    return str(found).encode()


def _columns() -> list[Any]:
    return [table.c[name] for name in Decision.__struct_fields__]


def _decision(row: Row[Any]) -> Decision:
    return Decision(**row._mapping)
