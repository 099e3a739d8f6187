"""The rows of the database that hold a record, as tuples in the order of the columns named here. Pure."""

import msgspec

from modelctl.evidence import Answer, Request, Served, is_failure
from modelctl.recorder.readings import ComparedReading, Judged, ServedReading
from modelctl.recorder.texts import often, storable, text_from
from modelctl.store.bodies import Stored, stored

Row = tuple[object, ...]
_json = msgspec.json.Encoder().encode
_NO_VALUES: Row = (None, None, None, None, None)
_NO_BODY = ("", b"")

Kept = tuple[int, int]
"""Whether a row's bodies are kept, and the chance of it in basis points."""


def _steady_columns(side: str) -> tuple[str, ...]:
    return tuple(f"{side}_{name}" for name in ("outcome", "status", "ended", "problem", "type", "encoding"))


def _own_columns(side: str) -> tuple[str, ...]:
    names = ("latency_us", "first_event_us", "label", "number", "text", "probability", "values_json", "stored", "body", "size")
    return tuple(f"{side}_{name}" for name in names)


# What answers that are alike have in common (see recorder.alike), and what is each one's own.
STEADY_COLUMNS = (
    "route", "rollout", "stage", "table_version", "arm", "role", "reason", "probability", "method", "status", "outcome", "failure",
    "attempts", "problem", "redacted", "bodies_kept", "bodies_share",
    "request_type", "request_encoding", "answer_type", "answer_encoding",
)  # fmt: skip
OWN_COLUMNS = (
    "id", "request_id", "at", "unit", "target", "headers", "latency_us", "first_byte_us", "first_event_us",
    "label", "number", "text", "probability_of_label", "values_json", "request_stored", "request_body", "request_size",
    "answer_stored", "answer_body", "answer_size",
)  # fmt: skip
PREDICTION_COLUMNS = (*STEADY_COLUMNS, *OWN_COLUMNS)
PAIR_STEADY_COLUMNS = (
    "candidate", "route", "rollout", "stage", "baseline", "candidate_failure", "agree", "duplicate", "redacted",
    "bodies_kept", "bodies_share", "request_type", "request_encoding", *_steady_columns("baseline"), *_steady_columns("candidate"),
)  # fmt: skip
PAIR_OWN_COLUMNS = (
    "prediction_id", "request_id", "at", "difference", "instances", "instances_agreeing",
    "request_stored", "request_body", "request_size",
    *_own_columns("baseline"), *_own_columns("candidate"),
)  # fmt: skip
PAIR_COLUMNS = (*PAIR_STEADY_COLUMNS, *PAIR_OWN_COLUMNS)


def prediction_row(reading: ServedReading) -> Row:
    """The row of `prediction` that holds a served record. Failures keep their bodies."""
    return steady_row(reading) + own_row(reading)


def steady_row(reading: ServedReading) -> Row:
    """The values of STEADY_COLUMNS."""
    served, judged = reading.served, reading.answer
    context, request, answer = served.context, served.request, served.answer
    return (
        storable(context.route),
        context.rollout,
        context.stage,
        context.table,
        storable(answer.backend),
        storable(context.role),
        storable(context.reason),
        context.probability,
        often(request.method),
        answer.status,
        judged.outcome.value,
        storable(answer.failure),
        served.attempts,
        storable(judged.problem),
        served.redacted,
        *_kept(reading),
        often(request.content_type),
        often(request.encoding),
        often(answer.content_type),
        often(answer.encoding),
    )


def own_row(reading: ServedReading) -> Row:
    """The values of OWN_COLUMNS."""
    served = reading.served
    request, answer = served.request, served.answer
    is_kept = _kept(reading)[0]
    return (
        served.id.hex(),
        text_from(served.request_id),
        served.at,
        text_from(served.context.unit),
        often(request.target),
        _headers(request),
        answer.latency,
        answer.first_byte,
        answer.first_event,
        *_values(reading.answer),
        *_body(request, is_kept),
        request.size,
        *_body(answer, is_kept),
        answer.size,
    )


def pair_row(reading: ComparedReading, *, duplicate: bool = False) -> Row:
    """The row of `pair` that holds a compared record. A `duplicate` asks what the candidate was compared on before.
    Pairs that do not agree, or cannot be compared, keep their bodies."""
    return pair_steady_row(reading, duplicate=duplicate) + pair_own_row(reading)


def pair_steady_row(reading: ComparedReading, *, duplicate: bool) -> Row:
    """The values of PAIR_STEADY_COLUMNS."""
    served, shadow, agree = reading.compared.served, reading.compared.shadow, reading.agreement.agree
    context = served.context
    return (
        storable(shadow.backend),
        storable(context.route),
        context.rollout,
        context.stage,
        storable(served.answer.backend),
        storable(shadow.failure),
        None if agree is None else int(agree),
        int(duplicate),
        served.redacted | reading.compared.redacted,
        *_pair_kept(reading),
        often(served.request.content_type),
        often(served.request.encoding),
        *_steady_side(served.answer, reading.baseline),
        *_steady_side(shadow, reading.candidate),
    )


def pair_own_row(reading: ComparedReading) -> Row:
    """The values of PAIR_OWN_COLUMNS."""
    served, agreement = reading.compared.served, reading.agreement
    is_kept = _pair_kept(reading)[0]
    return (
        served.id.hex(),
        text_from(served.request_id),
        served.at,
        agreement.difference,
        agreement.instances,
        agreement.agreeing,
        *_body(served.request, is_kept),
        served.request.size,
        *_own_side(served.answer, reading.baseline, is_kept=is_kept),
        *_own_side(reading.compared.shadow, reading.candidate, is_kept=is_kept),
    )


def _steady_side(answer: Answer, judged: Judged) -> Row:
    kind, encoding = often(answer.content_type), often(answer.encoding)
    return judged.outcome.value, answer.status, answer.ended, storable(judged.problem), kind, encoding


def _own_side(answer: Answer, judged: Judged, *, is_kept: int) -> Row:
    return (answer.latency, answer.first_event, *_values(judged), *_body(answer, is_kept), answer.size)


def _values(judged: Judged) -> Row:
    """Label, number, text and probability of the first instance, and all of several."""
    values = judged.values
    if not values:
        return _NO_VALUES
    first = values[0]
    label, text = first.label, first.text
    return (
        None if label is None else storable(label),
        first.number,
        None if text is None else storable(text),
        first.probability,
        _json(values).decode() if len(values) > 1 else None,
    )


def _headers(request: Request) -> str:
    if not request.headers:
        return "{}"
    return _json({text_from(name): text_from(value) for name, value in request.headers}).decode()


def _kept(reading: ServedReading) -> Kept:
    return _sampled(reading.served, surely=is_failure(reading.served.answer))


def _pair_kept(reading: ComparedReading) -> Kept:
    served, shadow = reading.compared.served, reading.compared.shadow
    return _sampled(served, surely=not reading.agreement.agree or is_failure(served.answer) or is_failure(shadow))


def _sampled(served: Served, *, surely: bool) -> Kept:
    """What is kept `surely` is so for what it is, and not by the draw of its unit."""
    return (1, 10_000) if surely else (int(served.in_sample), served.bodies_share)


def _body(message: Request | Answer, is_kept: int) -> Stored:
    return stored(message.body) if is_kept else _NO_BODY
