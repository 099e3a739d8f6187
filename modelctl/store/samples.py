"""Recorded rows that a report shows as examples: the newest of their kind. What is looked through is bounded.

The newest rows are found by the key, which grows with time; among these the kind is chosen. So a look costs the same however many
rows there are, and what is rare may not be among them.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, FromClause, Row, Select, and_, select

from modelctl.rollout import Rollout
from modelctl.store.reading import Pair, read_pair
from modelctl.store.tables import feedback, pair, prediction

LOOKED_THROUGH = 20_000
_LATER = 120_000
_FAILED = ("backend_error", "timeout")
_ASKED = ("id", "method", "target", "headers", "redacted")
_REQUEST = ("request_type", "request_encoding", "request_body", "request_size")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked, beside the body: `headers` are those the route keeps, `redacted` flags what was taken out."""

    method: str
    target: str
    headers: dict[str, str]
    redacted: int


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of an arm that was no part of a pair, and what turned out to be true."""

    row: Any
    truth: str | float | None


def pair_keys(connection: Connection, rollout: Rollout, *, failed: bool) -> Iterator[Row[Any]]:
    """Of pairs whose predictions differ, or in which only the candidate `failed`: the key and the request, newest first."""
    newest = _newest(pair, pair.c.prediction_id, rollout=rollout)
    wanted = and_(pair.c.candidate_outcome.in_(_FAILED), pair.c.baseline_outcome.not_in(_FAILED)) if failed else pair.c.agree == 0
    columns = (pair.c.prediction_id, pair.c.candidate, pair.c.at, *(pair.c[name] for name in _REQUEST), prediction.c.headers)
    here = and_(pair.c.prediction_id == newest.c.prediction_id, pair.c.candidate == newest.c.candidate)
    source = newest.join(pair, here).outerjoin(prediction, prediction.c.id == pair.c.prediction_id)
    query = select(*columns).select_from(source).where(pair.c.rollout == rollout.id, wanted)
    yield from connection.execute(query.order_by(newest.c.prediction_id.desc()))


def answer_rows(connection: Connection, rollout: Rollout, *, failed: bool) -> Iterator[Answered]:
    """Answers of candidates to clients that `failed`, or whose prediction turned out to be wrong, newest first."""
    newest = _newest(prediction, prediction.c.id, rollout=rollout)
    wanted = prediction.c.outcome.in_(_FAILED) if failed else prediction.c.label != feedback.c.value_label
    truth = and_(feedback.c.prediction_id == prediction.c.id, feedback.c.kind == "truth")
    source = newest.join(prediction, prediction.c.id == newest.c.id).outerjoin(feedback, truth)
    query = select(prediction, feedback.c.value_label, feedback.c.value_number).select_from(source)
    query = query.where(prediction.c.rollout == rollout.id, prediction.c.arm.in_(rollout.candidates), wanted)
    for row in connection.execute(query.order_by(newest.c.id.desc())):
        yield Answered(row=row, truth=row.value_label if row.value_label is not None else row.value_number)


def pairs_of(connection: Connection, keys: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Pair]:
    """Whole pairs by their keys (prediction, candidate)."""
    rows = connection.execute(select(pair).where(pair.c.prediction_id.in_({name for name, _ in keys})))
    found = {(row.prediction_id, row.candidate): read_pair(row) for row in rows}
    return {key: found[key] for key in keys if key in found}


def asked_of(connection: Connection, ids: Sequence[str]) -> Mapping[str, Asked]:
    """What was asked, by the id of the prediction; those no longer kept are left out."""
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


def _newest(table: FromClause, key: ColumnElement[str], *, rollout: Rollout) -> Any:  # noqa: ANN401 a subquery of two keys or one
    """The keys of the newest rows until the rollout closed, of whatever rollout."""
    query: Select[Any] = select(*table.primary_key)
    if rollout.closed_at:
        query = query.where(key <= f"{rollout.closed_at + _LATER:012x}g")
    return query.order_by(key.desc()).limit(LOOKED_THROUGH).subquery("newest")
