"""What of the evidence may go, and the statements that take it away: each a transaction of its own over a bounded number of rows.

Rows of `prediction` and `pair` go, and the feedback about them, once it is in the sums. Rollups stay, so reports stay what they
are. An answer whose truth still waits to be joined stays until it is. Times are Unix microseconds.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Exists, Select, Table, and_, delete, exists, func, select, tuple_

from modelctl.store.tables import feedback, first_event, pair, pair_seen, prediction, rollout, route, routing_table, unit_total
from modelctl.traffic import Capture

KEPT_TABLES = 100
OF_ROLLOUTS = (pair_seen, first_event, unit_total)


class Removed(NamedTuple):
    """How many rows went. `chosen` is how many there were to choose from, up to the limit: fewer than it mean that this was all."""

    predictions: int = 0
    pairs: int = 0
    feedback: int = 0
    other: int = 0
    chosen: int = 0

    def plus(self, more: "Removed") -> "Removed":
        """Both together."""
        return Removed(*[mine + theirs for mine, theirs in zip(self, more, strict=True)])


def keeps(connection: Connection) -> dict[str, int]:
    """For how many seconds each route keeps its rows, removed routes too; 0 for ever."""
    rows = connection.execute(select(route.c.name, route.c.capture))
    return {row.name: msgspec.json.decode(row.capture, type=Capture).keep_seconds for row in rows}


def older(name: str, before: int) -> Select[Any]:
    """The predictions of a route that came before a time and wait for nothing."""
    return select(prediction.c.id, prediction.c.request_id).where(
        prediction.c.route == name, prediction.c.at < before, ~_waiting(prediction)
    )


def count_older(connection: Connection, name: str, *, before: int) -> int:
    """How many predictions `remove_older` would take."""
    return int(connection.execute(select(func.count()).select_from(older(name, before).subquery())).scalar_one())


def remove_older(connection: Connection, name: str, *, before: int, limit: int) -> Removed:
    """Takes the oldest of a route's predictions that came before a time, with their pairs and their joined feedback."""
    return _remove(connection, older(name, before).order_by(prediction.c.at).limit(limit))


def remove_oldest(connection: Connection, *, limit: int, name: str | None = None) -> Removed:
    """Takes the oldest predictions of a route, or of all of them: ids grow with time."""
    query = select(prediction.c.id, prediction.c.request_id).where(~_waiting(prediction)).order_by(prediction.c.id).limit(limit)
    return _remove(connection, query if name is None else query.where(prediction.c.route == name))


def remove_single_pairs(connection: Connection, name: str, *, before: int, limit: int) -> Removed:
    """Takes a route's pairs whose prediction was dropped before it was recorded. Reads all pairs of before that time."""
    key = (pair.c.prediction_id, pair.c.candidate)
    single = ~exists().where(prediction.c.id == pair.c.prediction_id)
    until = f"{max(before, 0) // 1000:012x}"  # a UUIDv7 begins with its Unix milliseconds
    query = select(*key).where(pair.c.prediction_id < until, pair.c.route == name, pair.c.at < before, single, ~_waiting(pair))
    gone = connection.execute(delete(pair).where(tuple_(*key).in_(query.limit(limit)))).rowcount
    return Removed(pairs=gone, chosen=gone)


def remove_unmatched(connection: Connection, before: int, *, limit: int) -> Removed:
    """Takes feedback about requests that nobody recorded."""
    known = exists().where(prediction.c.request_id == feedback.c.request_id)
    query = select(feedback.c.id).where(feedback.c.joined == 0, feedback.c.at < before, feedback.c.prediction_id.is_(None), ~known)
    gone = connection.execute(delete(feedback).where(feedback.c.id.in_(query.limit(limit)))).rowcount
    return Removed(feedback=gone, chosen=gone)


def remove_of_ended(connection: Connection, table: Table, *, before: int, limit: int) -> Removed:
    """Takes rows of one of OF_ROLLOUTS whose rollout ended before a time."""
    key = list(table.primary_key)
    ended = select(rollout.c.id).where(rollout.c.closed_at > 0, rollout.c.closed_at < before)
    query = select(*key).where(table.c.rollout.in_(ended)).limit(limit)
    gone = connection.execute(delete(table).where(tuple_(*key).in_(query))).rowcount
    return Removed(other=gone, chosen=gone)


def remove_tables(connection: Connection, *, limit: int) -> Removed:
    """Takes routing tables but the last KEPT_TABLES."""
    version = routing_table.c.version
    newest = connection.execute(select(func.max(version))).scalar() or 0
    query = select(version).where(version <= newest - KEPT_TABLES).order_by(version).limit(limit)
    gone = connection.execute(delete(routing_table).where(version.in_(query))).rowcount
    return Removed(other=gone, chosen=gone)


def used_bytes(connection: Connection) -> int:
    """What the database holds: in SQLite its pages but the free ones, in PostgreSQL its predictions and pairs, from the size of the
    newest thousand of each. What was deleted is in neither, though the files do not shrink."""
    if connection.dialect.name == "postgresql":
        return sum(_row_bytes(connection, table) for table in (prediction, pair))
    pages, free, size = (
        int(connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def surplus(connection: Connection, most: int, *, name: str | None = None) -> int:
    """How many of the oldest predictions have to go for the database to hold at most so many bytes."""
    used = used_bytes(connection)
    if used <= most:
        return 0
    whole = connection.execute(select(func.count()).select_from(prediction)).scalar_one()
    wanted = -(-int(whole) * (used - most) // used)
    if name is None:
        return wanted
    own = connection.execute(select(func.count()).select_from(prediction).where(prediction.c.route == name)).scalar_one()
    return min(wanted, int(own))


def _row_bytes(connection: Connection, table: Table) -> int:
    newest = select(table).order_by(*[column.desc() for column in table.primary_key]).limit(1000).subquery("newest")
    mean = connection.execute(select(func.avg(func.pg_column_size(newest.table_valued())))).scalar() or 0
    return int(connection.execute(select(func.count()).select_from(table)).scalar_one() * mean)


def _waiting(table: Table) -> Exists:
    return exists().where(and_(feedback.c.request_id == table.c.request_id, feedback.c.joined == 0))


def _remove(connection: Connection, query: Select[Any]) -> Removed:
    rows = connection.execute(query).all()
    if not rows:
        return Removed()
    ids = [row.id for row in rows]
    pairs = connection.execute(delete(pair).where(pair.c.prediction_id.in_(ids))).rowcount
    gone = connection.execute(delete(prediction).where(prediction.c.id.in_(ids))).rowcount
    said = _remove_feedback(connection, {row.request_id for row in rows})
    return Removed(gone, pairs, said, chosen=len(rows))


def _remove_feedback(connection: Connection, requests: Iterable[str]) -> int:
    """Unless another answer to the request is there still: a value that is sent again would count for it twice."""
    another = exists().where(prediction.c.request_id == feedback.c.request_id)
    joined = (feedback.c.request_id.in_(list(requests)), feedback.c.joined == 1, ~another)
    return connection.execute(delete(feedback).where(*joined)).rowcount
