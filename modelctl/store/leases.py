"""What only one process may do at a time, and who does it: a row with a holder, a term and an end.

A lease is safe because every action of its holder checks holder and term in its own transaction (`check`): whoever takes the lease
over raises the term, so of two that believe to hold it only one can write. Clocks that differ make a takeover early or late, never
double; an end that lies beyond any lease was written by a clock that was wrong, and keeps nobody waiting. Times are Unix
microseconds of the caller's clock.
"""

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, select, update

from modelctl.errors import LeaseLost
from modelctl.store.engine import insert_or_ignore
from modelctl.store.tables import lease as table

CLOCKS_APART = 60_000_000
"""How many microseconds the clocks of two processes may differ, so that a lease of the faster one is respected."""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """Held by `holder` until `expires_at`, unless it is renewed. `term` grows with every change of the holder."""

    name: str
    holder: str
    term: int
    expires_at: int


def acquire(connection: Connection, name: str, *, holder: str, at: int, lasts: int) -> Lease | None:
    """The lease, when it is free, expired or the holder's own; None while somebody else has it."""
    insert_or_ignore(connection, table, rows=[{"name": name, "holder": "", "term": 0, "expires_at": 0}])
    row = connection.execute(select(table).where(table.c.name == name)).one()
    if row.holder == holder and row.expires_at > at:
        return renew(connection, Lease(**row._mapping), at=at, lasts=lasts)
    if row.holder and at < row.expires_at <= at + lasts + CLOCKS_APART:
        return None
    taken = Lease(name=name, holder=holder, term=row.term + 1, expires_at=at + lasts)
    free = and_(table.c.name == name, table.c.term == row.term)
    return taken if _swap(connection, free, to=taken) else None


def renew(connection: Connection, lease: Lease, *, at: int, lasts: int) -> Lease | None:
    """The lease with a later end; None when it was lost: expired, or taken over."""
    later = msgspec.structs.replace(lease, expires_at=at + lasts)
    return later if _swap(connection, _held(lease, at=at), to=later) else None


def release(connection: Connection, lease: Lease) -> None:
    """Gives the lease up, so that nobody has to wait for its end. Does nothing when it was lost."""
    mine = and_(table.c.name == lease.name, table.c.holder == lease.holder, table.c.term == lease.term)
    _swap(connection, mine, to=msgspec.structs.replace(lease, holder="", expires_at=0))


def check(connection: Connection, lease: Lease, *, at: int) -> None:
    """Raises LeaseLost unless the lease is held at `at`. Until the transaction ends nobody can take it over."""
    # An update, because it locks the row on every database.
    if not _swap(connection, _held(lease, at=at), to=None):
        raise LeaseLost(
            f"this process no longer holds the lease {lease.name!r} (term {lease.term}), so it changes nothing: it was "
            "away for too long, and another one has taken over or may do so"
        )


def find(connection: Connection, name: str) -> Lease | None:
    """The lease as it stands, expired or not; None when it was never held."""
    row = connection.execute(select(table).where(table.c.name == name)).one_or_none()
    return None if row is None else Lease(**row._mapping)


def _held(lease: Lease, *, at: int) -> ColumnElement[bool]:
    same = and_(table.c.name == lease.name, table.c.holder == lease.holder, table.c.term == lease.term)
    return and_(same, table.c.expires_at > at)


def _swap(connection: Connection, where: ColumnElement[bool], *, to: Lease | None) -> bool:
    values = {"term": table.c.term} if to is None else msgspec.structs.asdict(to)
    return connection.execute(update(table).where(where).values(values)).rowcount == 1
