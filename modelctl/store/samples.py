"""Recorded rows that a report shows as examples: the newest of their kind. What is looked through is bounded.

The newest rows are found by the key, which grows with time; among these the kind is chosen. So a look costs the same however many
rows there are, and what is rare may not be among them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, select

from modelctl.rollout import Rollout
from modelctl.store.reading import Body, Pair, read_body, read_pair
from modelctl.store.tables import feedback, pair, prediction

LOOKED_THROUGH = 20_000
LOOKED_AT = 2_000
_BATCH = 50
_LATER = 120_000
_FAILED = ("backend_error", "timeout")
_ASKED = ("id", "method", "target", "headers", "redacted")
T = TypeVar("T")
_REQUEST = ("request_type", "request_encoding", "request_stored", "request_body", "request_size")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked, beside the body: `headers` are those the route keeps, `redacted` flags what was taken out."""

    method: str
    target: str
    headers: dict[str, str]
    redacted: int


class Requested(msgspec.Struct, frozen=True, kw_only=True):
    """What a candidate was asked, and when (Unix microseconds); `headers` are JSON, or empty when no longer kept."""

    id: str
    candidate: str
    at: int
    headers: str
    request: Body


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of an arm that was no part of a pair, and what turned out to be true. `row` is its row of `prediction`."""

    asked: Requested
    answer: Body
    row: Any
    truth: str | float | None


def pair_requests(connection: Connection, rollout: Rollout, *, failed: bool) -> Iterator[Requested]:
    """The requests of pairs whose predictions differ, or in which only the candidate `failed`, newest first."""
    table = pair.c
    wanted = and_(table.candidate_outcome.in_(_FAILED), table.baseline_outcome.not_in(_FAILED)) if failed else table.agree == 0
    keys = _pair_keys(connection, rollout, wanted=wanted, limit=LOOKED_AT)
    columns = (table.prediction_id, table.candidate, table.at, *(table[name] for name in _REQUEST), prediction.c.headers)
    query = select(*columns).select_from(pair.outerjoin(prediction, prediction.c.id == table.prediction_id))
    for some in _batched(keys):
        rows = connection.execute(query.where(table.prediction_id.in_({name for name, _ in some})))
        found = {(row.prediction_id, row.candidate): row for row in rows}
        for key in some:
            row = found[key]
            yield Requested(id=key[0], candidate=key[1], at=row.at, headers=row.headers or "", request=read_body(row, "request"))


def answer_rows(connection: Connection, rollout: Rollout, *, failed: bool) -> Iterator[Answered]:
    """Answers of candidates to clients that `failed`, or whose prediction turned out to be wrong, newest first."""
    newest, table = _newest(prediction, prediction.c.id, rollout=rollout), prediction.c
    wanted = table.outcome.in_(_FAILED) if failed else table.label != feedback.c.value_label
    truth = and_(feedback.c.prediction_id == table.id, feedback.c.kind == "truth")
    source = newest.join(prediction, table.id == newest.c.id).outerjoin(feedback, truth)
    query = select(table.id, feedback.c.value_label, feedback.c.value_number).select_from(source)
    query = query.where(table.rollout == rollout.id, table.arm.in_(rollout.candidates), wanted)
    keys = connection.execute(query.order_by(newest.c.id.desc()).limit(LOOKED_AT)).all()
    for some in _batched(keys):
        rows = connection.execute(select(prediction).where(table.id.in_({key.id for key in some})))
        found = {row.id: row for row in rows}
        for key in some:
            row = found[key.id]
            request, answer = read_body(row, "request"), read_body(row, "answer")
            mine = Requested(id=row.id, candidate=row.arm, at=row.at, headers=row.headers, request=request)
            truth = key.value_label if key.value_label is not None else key.value_number
            yield Answered(asked=mine, answer=answer, row=row, truth=truth)


def worst_pairs(connection: Connection, rollout: Rollout, *, candidate: str, limit: int) -> tuple[Pair, ...]:
    """The pairs that differ most: numbers by the size of their difference, and labels that differ, newest first."""
    mine = select(pair.c.prediction_id, pair.c.difference).where(pair.c.rollout == rollout.id, pair.c.candidate == candidate)
    highest = mine.where(pair.c.difference > 0).order_by(pair.c.difference.desc()).limit(limit)
    lowest = mine.where(pair.c.difference < 0).order_by(pair.c.difference.asc()).limit(limit)
    numbers = [row for query in (highest, lowest) for row in connection.execute(query)]
    numbers.sort(key=lambda found: (-abs(found.difference), found.prediction_id))
    keys = [(row.prediction_id, candidate) for row in numbers[:limit]]
    if len(keys) < limit:
        keys += _differing_labels(connection, rollout, candidate=candidate, limit=limit - len(keys))
    return tuple(pairs_of(connection, keys).values())


def _differing_labels(connection: Connection, rollout: Rollout, *, candidate: str, limit: int) -> list[tuple[str, str]]:
    """Where there are few, they are among no newest rows: but then there are few to sort."""
    table = pair.c
    # As a sum, so that SQLite reads the few pairs that differ, and not the many without numbers by the other index.
    no_number = (table.difference + 0).is_(None)
    wanted = and_(table.candidate == candidate, table.agree == 0, no_number)
    found = _pair_keys(connection, rollout, wanted=wanted, limit=limit)
    if len(found) < limit:
        query = select(table.prediction_id, table.candidate).where(table.rollout == rollout.id, wanted)
        found = [
            (row.prediction_id, row.candidate)
            for row in connection.execute(query.order_by(table.prediction_id.desc()).limit(limit))
        ]
    return found


def pairs_of(connection: Connection, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Pair]:
    """Whole pairs by their keys (prediction, candidate)."""
    if not keys:
        return {}
    rows = connection.execute(select(pair).where(pair.c.prediction_id.in_({name for name, _ in keys})))
    found = {(row.prediction_id, row.candidate): read_pair(row) for row in rows}
    return {key: found[key] for key in keys if key in found}


def asked_of(connection: Connection, ids: Sequence[str]) -> Mapping[str, Asked]:
    """What was asked, by the id of the prediction; those no longer kept are left out."""
    if not ids:
        return {}
    rows = connection.execute(select(*(prediction.c[name] for name in _ASKED)).where(prediction.c.id.in_(set(ids))))
    return {row.id: asked(row) for row in rows}


def asked(row: Row[Any]) -> Asked:
    """What was asked, from a row of `prediction`."""
    headers = msgspec.json.decode(row.headers, type=dict[str, str])
    return Asked(method=row.method, target=row.target, headers=headers, redacted=row.redacted)


def differences(connection: Connection, rollout: Rollout, *, candidate: str, limit: int) -> tuple[tuple[float, float], ...]:
    """Of the newest pairs with numbers, both numbers: the baseline's and the candidate's."""
    newest = _newest(pair, pair.c.prediction_id, rollout=rollout)
    here = and_(pair.c.prediction_id == newest.c.prediction_id, pair.c.candidate == newest.c.candidate)
    query = select(pair.c.baseline_number, pair.c.candidate_number).select_from(newest.join(pair, here))
    query = query.where(
        pair.c.rollout == rollout.id,
        pair.c.candidate == candidate,
        pair.c.baseline_number.is_not(None),
        pair.c.candidate_number.is_not(None),
    )
    rows = connection.execute(query.order_by(newest.c.prediction_id.desc()).limit(limit))
    return tuple((float(row.baseline_number), float(row.candidate_number)) for row in rows)


def _pair_keys(connection: Connection, rollout: Rollout, *, wanted: ColumnElement[bool], limit: int) -> list[tuple[str, str]]:
    """Keys alone: bodies are read of those that are shown."""
    newest = _newest(pair, pair.c.prediction_id, rollout=rollout)
    here = and_(pair.c.prediction_id == newest.c.prediction_id, pair.c.candidate == newest.c.candidate)
    query = select(pair.c.prediction_id, pair.c.candidate).select_from(newest.join(pair, here))
    query = query.where(pair.c.rollout == rollout.id, wanted).order_by(newest.c.prediction_id.desc(), newest.c.candidate)
    return [(row.prediction_id, row.candidate) for row in connection.execute(query.limit(limit))]


def _batched(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """A few at a time."""
    return (keys[start : start + _BATCH] for start in range(0, len(keys), _BATCH))


def _newest(table: FromClause, key: ColumnElement[str], *, rollout: Rollout) -> Any:  # noqa: ANN401 a subquery of two keys or one
    """The keys of the newest rows until the rollout closed, of whatever rollout."""
    query: Select[Any] = select(*table.primary_key)
    if rollout.closed_at:
        query = query.where(key <= f"{rollout.closed_at + _LATER:012x}g")
    return query.order_by(key.desc()).limit(LOOKED_THROUGH).subquery("newest")
