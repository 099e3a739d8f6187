"""The rows of the database that hold a record, as tuples in the order of the columns named here. Pure."""

import msgspec

from modelctl.evidence import Answer, Request
from modelctl.kinds import Value
from modelctl.recorder.readings import ComparedReading, Judged, ServedReading
from modelctl.recorder.texts import often, storable, text_from

Row = tuple[object, ...]
_json = msgspec.json.Encoder().encode
_NO_VALUE: Row = (None, None, None)


def _body_columns(prefix: str) -> tuple[str, ...]:
    return tuple(f"{prefix}_{name}" for name in ("type", "encoding", "body", "size"))


def _side_columns(side: str) -> tuple[str, ...]:
    names = ("outcome", "status", "latency_us", "first_event_us", "ended", "label", "number", "text", "values_json", "problem")
    return (*(f"{side}_{name}" for name in names), *_body_columns(side))


PREDICTION_COLUMNS = (
    "id", "request_id", "at", "route", "rollout", "stage", "table_version", "arm", "role", "reason", "probability", "unit",
    "method", "target", "status", "outcome", "failure", "latency_us", "first_byte_us", "first_event_us", "attempts",
    "label", "number", "text", "probability_of_label", "values_json", "problem", "redacted", "headers",
    *_body_columns("request"), *_body_columns("answer"),
)  # fmt: skip
PAIR_COLUMNS = (
    "prediction_id", "candidate", "request_id", "at", "route", "rollout", "stage", "baseline", "candidate_failure", "agree",
    "difference", "instances", "instances_agreeing", "baseline_probability", "candidate_probability", "duplicate", "redacted",
    *_side_columns("baseline"), *_side_columns("candidate"), *_body_columns("request"),
)  # fmt: skip


def prediction_row(reading: ServedReading) -> Row:
    """The row of `prediction` that holds a served record."""
    served, judged = reading.served, reading.answer
    context, request, answer = served.context, served.request, served.answer
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
        _headers(request),
        *_body(request),
        *_body(answer),
    )


def pair_row(reading: ComparedReading, *, duplicate: bool = False) -> Row:
    """The row of `pair` that holds a compared record. A `duplicate` asks what the candidate was compared on before."""
    served, shadow = reading.compared.served, reading.compared.shadow
    agreement, context = reading.agreement, served.context
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
        *_side(served.answer, reading.baseline),
        *_side(shadow, reading.candidate),
        *_body(served.request),
    )


def _side(answer: Answer, judged: Judged) -> Row:
    return (
        judged.outcome.value,
        answer.status,
        answer.latency,
        answer.first_event,
        answer.ended,
        *_first(judged),
        _all(judged),
        storable(judged.problem),
        *_body(answer),
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


def _body(message: Request | Answer) -> Row:
    return often(message.content_type), often(message.encoding), message.body, message.size
