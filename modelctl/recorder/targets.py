"""What feedback is joined to: predictions and pairs, as they are recorded or as they come."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from modelctl.evidence import Request
from modelctl.kinds.document import ABSENT, document_of
from modelctl.kinds.slicing import Asked, slices_of, wants_document
from modelctl.recorder.known import terms_of
from modelctl.recorder.label_sums import Answered, Paired, Said, Target
from modelctl.recorder.ledger import MINUTE, Place, place_of
from modelctl.recorder.readings import ComparedReading, Judged, Reading, ServedReading, counts, is_sample
from modelctl.recorder.rollups import PairKey, pair_key
from modelctl.recorder.terms import Terms
from modelctl.recorder.texts import storable, text_from
from modelctl.recorder.units import unit_name
from modelctl.store.bodies import body_of
from modelctl.store.tables import pair, prediction

Found = dict[str, list[Target]]


def request_of(reading: Reading) -> str:
    """The request id, as it is stored."""
    served = reading.served if isinstance(reading, ServedReading) else reading.compared.served
    return text_from(served.request_id)


def targets_in(readings: Iterable[Reading], *, duplicates: frozenset[PairKey]) -> Found:
    """By request, what `readings` hold that feedback counts for."""
    found: Found = {}
    for reading in filter(counts, readings):
        if isinstance(reading, ServedReading):
            found.setdefault(request_of(reading), []).append(_answered(reading))
        elif not reading.is_noise and pair_key(reading) not in duplicates:
            found.setdefault(request_of(reading), []).append(_paired(reading))
    return found


def recorded_targets(connection: Connection, requests: Sequence[str]) -> tuple[Found, dict[str, str]]:
    """By request, what the database holds that feedback counts for; and the id of each request's first prediction."""
    predictions = connection.execute(select(*_PREDICTION).where(prediction.c.request_id.in_(requests))).all()
    terms = terms_of(connection, {row.stage for row in predictions if row.rollout})
    found: Found = {}
    first: dict[str, str] = {}
    for row in predictions:
        first[row.request_id] = min(row.id, first.get(row.request_id, row.id))
        if is_sample(row.reason, row.outcome):
            mine = terms.get(row.stage, Terms()) if row.rollout else Terms()
            found.setdefault(row.request_id, []).append(_recorded_answer(connection, row, terms=mine))
    for row in connection.execute(select(*_PAIR).where(pair.c.request_id.in_(requests))):
        first.setdefault(row.request_id, row.prediction_id)
        if not row.duplicate and row.candidate != row.baseline:
            found.setdefault(row.request_id, []).append(_recorded_pair(row))
    return found, first


_PREDICTION: tuple[Any, ...] = tuple(
    prediction.c[name]
    for name in (
        "id", "request_id", "at", "route", "rollout", "stage", "arm", "reason", "outcome", "unit", "label", "number",
        "probability_of_label", "headers",
    )
)  # fmt: skip
_PAIR: tuple[Any, ...] = tuple(
    pair.c[name]
    for name in (
        "prediction_id", "request_id", "at", "route", "rollout", "stage", "baseline", "candidate", "duplicate", "baseline_label",
        "baseline_number", "baseline_probability", "candidate_label", "candidate_number", "candidate_probability",
    )
)  # fmt: skip


def _answered(reading: ServedReading) -> Answered:
    context = reading.served.context
    place = place_of(context, reading.served.answer.backend, at=reading.served.at)
    unit = unit_name(context.unit) if reading.terms.sticky and context.rollout else None
    # A route's dimensions may change while no rollout is open, and then what was added could not be taken back.
    return Answered(place, _said(reading.answer), unit, reading.slices if context.rollout else ())


def _paired(reading: ComparedReading) -> Paired:
    served = reading.compared.served
    place = place_of(served.context, reading.compared.shadow.backend, at=served.at)
    return Paired(place, _said(reading.baseline), _said(reading.candidate))


def _said(judged: Judged) -> Said:
    if not judged.values:
        return Said()
    first = judged.values[0]
    return Said(None if first.label is None else storable(first.label), first.number, first.probability)


def _recorded_answer(connection: Connection, row: Row[Any], *, terms: Terms) -> Answered:
    place = Place(row.route, row.rollout, row.stage, row.arm, row.at // MINUTE)
    unit = unit_name(row.unit.encode()) if terms.sticky and row.rollout else None
    said = Said(row.label, row.number, row.probability_of_label)
    return Answered(place, said, unit, _slices(connection, row, terms=terms) if terms.dimensions else ())


def _recorded_pair(row: Row[Any]) -> Paired:
    place = Place(row.route, row.rollout, row.stage, row.candidate, row.at // MINUTE)
    baseline = Said(row.baseline_label, row.baseline_number, row.baseline_probability)
    return Paired(place, baseline, Said(row.candidate_label, row.candidate_number, row.candidate_probability))


def _slices(connection: Connection, row: Row[Any], *, terms: Terms) -> tuple[tuple[str, str], ...]:
    headers: Mapping[str, str] = msgspec.json.decode(row.headers, type=dict[str, str])
    document = _document(connection, row.id) if wants_document(terms.dimensions) else ABSENT
    return slices_of(terms.dimensions, Asked(headers, document, row.at))


def _document(connection: Connection, prediction_id: str) -> object:
    columns = (prediction.c[f"request_{name}"] for name in ("encoding", "stored", "body", "size"))
    row = connection.execute(select(*columns).where(prediction.c.id == prediction_id)).one()
    return document_of(Request(b"", b"", b"", row.request_encoding.encode(), body_of(row, "request"), row.request_size))
