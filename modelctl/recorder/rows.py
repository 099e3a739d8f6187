"""The rows of the database that hold a record, as tuples in the order of the columns named here. Pure."""

import msgspec

from modelctl.evidence import Answer, Request, Served, is_failure
from modelctl.kinds import Value
from modelctl.recorder.readings import ComparedReading, Judged, ServedReading
from modelctl.recorder.texts import often, storable, text_from
from modelctl.store.bodies import stored

Row = tuple[object, ...]
_json = msgspec.json.Encoder().encode
_NO_VALUE: Row = (None, None, None)
_NO_BODY = ("", b"")

Kept = tuple[int, int]
"""Whether a row's bodies are kept, and the chance of it in basis points."""


def _body_columns(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}_{name}" for name in ("type", "encoding", "stored", "body", "size"))


def _side_columns(side: str) -> tuple[str, ...]:
    names = ("outcome", "status", "latency_us", "first_event_us", "ended", "label", "number", "text", "values_json", "problem")
    return (*(f"{side}_{name}" for name in names), *_body_columns(side))


PREDICTION_COLUMNS = (
    "id", "request_id", "at", "route", "rollout", "stage", "table_version", "arm", "role", "reason", "probability", "unit",
    "method", "target", "status", "outcome", "failure", "latency_us", "first_byte_us", "first_event_us", "attempts",
    "label", "number", "text", "probability_of_label", "values_json", "problem", "redacted",
    "bodies_kept", "bodies_share", "headers", *_body_columns("request"), *_body_columns("answer"),
)  # fmt: skip
PAIR_COLUMNS = (
    "prediction_id", "candidate", "request_id", "at", "route", "rollout", "stage", "baseline", "candidate_failure", "agree",
    "difference", "instances", "instances_agreeing", "baseline_probability", "candidate_probability", "duplicate", "redacted",
    "bodies_kept", "bodies_share", *_side_columns("baseline"), *_side_columns("candidate"), *_body_columns("request"),
)  # fmt: skip


def prediction_row(reading: ServedReading) -> Row:
    """The row of `prediction` that holds a served record. Failures keep their bodies."""
    served, judged = reading.served, reading.answer
    context, request, answer = served.context, served.request, served.answer
    kept = _kept(served, surely=is_failure(answer))
    return (
        served.id.hex(),
        text_from(served.request_id),
        served.at,
        storable(context.route),
        context.rollout,
        context.stage,
        context.table,
        storable(answer.backend),
        storable(context.role),
        storable(context.reason),
        context.probability,
        text_from(context.unit),
        often(request.method),
        often(request.target),
        answer.status,
        judged.outcome.value,
        storable(answer.failure),
        answer.latency,
        answer.first_byte,
        answer.first_event,
        served.attempts,
        *_first(judged),
        _probability(judged),
        _all(judged),
        storable(judged.problem),
        served.redacted,
        *kept,
        _headers(request),
        *_body(request, kept),
        *_body(answer, kept),
    )


def pair_row(reading: ComparedReading, *, duplicate: bool = False) -> Row:
    """The row of `pair` that holds a compared record. A `duplicate` asks what the candidate was compared on before.
    Pairs that do not agree, or cannot be compared, keep their bodies."""
    served, shadow = reading.compared.served, reading.compared.shadow
    agreement, context = reading.agreement, served.context
    kept = _kept(served, surely=not agreement.agree or is_failure(served.answer) or is_failure(shadow))
    return (
        served.id.hex(),
        storable(shadow.backend),
        text_from(served.request_id),
        served.at,
        storable(context.route),
        context.rollout,
        context.stage,
        storable(served.answer.backend),
        storable(shadow.failure),
        None if agreement.agree is None else int(agreement.agree),
        agreement.difference,
        agreement.instances,
        agreement.agreeing,
        _probability(reading.baseline),
        _probability(reading.candidate),
        int(duplicate),
        served.redacted | reading.compared.redacted,
        *kept,
        *_side(served.answer, reading.baseline, kept=kept),
        *_side(shadow, reading.candidate, kept=kept),
        *_body(served.request, kept),
    )


def _side(answer: Answer, judged: Judged, *, kept: Kept) -> Row:
    return (
        judged.outcome.value,
        answer.status,
        answer.latency,
        answer.first_event,
        answer.ended,
        *_first(judged),
        _all(judged),
        storable(judged.problem),
        *_body(answer, kept),
    )


def _probability(judged: Judged) -> float | None:
    return judged.values[0].probability if judged.values else None


def _first(judged: Judged) -> Row:
    """Label, number and text of the first instance."""
    if not judged.values:
        return _NO_VALUE
    value: Value = judged.values[0]
    label, text = value.label, value.text
    return None if label is None else storable(label), value.number, None if text is None else storable(text)


def _all(judged: Judged) -> str | None:
    return _json(judged.values).decode() if len(judged.values) > 1 else None


def _headers(request: Request) -> str:
    if not request.headers:
        return "{}"
    return _json({text_from(name): text_from(value) for name, value in request.headers}).decode()


def _kept(served: Served, *, surely: bool) -> Kept:
    """What is kept `surely` is so for what it is, and not by the draw of its unit."""
    return (1, 10_000) if surely else (int(served.in_sample), served.bodies_share)


def _body(message: Request | Answer, kept: Kept) -> Row:
    held = stored(message.body) if kept[0] else _NO_BODY
    return often(message.content_type), often(message.encoding), *held, message.size
