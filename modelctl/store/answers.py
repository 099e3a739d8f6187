"""The answers to commands that carried an Idempotency-Key: of one that is sent twice the second gets the answer to the first.

Every function takes the connection of the caller's transaction. Times are Unix microseconds.
"""

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from modelctl.store.tables import answer as table


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What was answered to the request with that digest, which came at `at`. `status` is 0 while nothing was."""

    digest: str
    at: int
    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""


def find(connection: Connection, key: str) -> Answer | None:
    """None for a key that is new."""
    row = connection.execute(select(table).where(table.c.key == key)).one_or_none()
    if row is None:
        return None
    headers = msgspec.json.decode(row.headers, type=dict[str, str])
    return Answer(digest=row.digest, at=row.at, status=row.status, headers=headers, body=bytes(row.body))


def begin(connection: Connection, key: str, *, digest: str, at: int) -> None:
    """A second one of the key fails the transaction with Conflict."""
    connection.execute(insert(table).values(key=key, digest=digest, at=at, body=b""))


def finish(connection: Connection, key: str, *, status: int, headers: dict[str, str], body: bytes) -> None:
    """Keeps what was answered."""
    text = msgspec.json.encode(headers).decode()
    connection.execute(update(table).where(table.c.key == key).values(status=status, headers=text, body=body))


def forget(connection: Connection, key: str) -> None:
    """As if it had never come."""
    connection.execute(delete(table).where(table.c.key == key))


def remove_older(connection: Connection, before: int, *, limit: int) -> int:
    """Takes the oldest away; how many."""
    old = select(table.c.key).where(table.c.at < before).order_by(table.c.at).limit(limit)
    return connection.execute(delete(table).where(table.c.key.in_(old))).rowcount
