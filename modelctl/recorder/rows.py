"""The rows of the database that hold a record. Pure."""

import msgspec

from modelctl.evidence import Answer, Request
from modelctl.kinds import Value
from modelctl.recorder.readings import ComparedReading, Judged, ServedReading
from modelctl.recorder.texts import storable, text_from

Row = dict[str, object]
_json = msgspec.json.Encoder().encode


def prediction_row(reading: ServedReading) -> Row:
    """The row of `prediction` that holds a served record."""
    served, answer = reading.served, reading.served.answer
    context = served.context
    first = reading.answer.values[0] if reading.answer.values else None
    return {
        "id": served.id.hex(),
        "request_id": text_from(served.request_id),
        "at": served.at,
        "route": storable(context.route),
        "rollout": context.rollout,
        "stage": context.stage,
        "table_version": context.table,
        "arm": storable(answer.backend),
        "role": storable(context.role),
        "reason": storable(context.reason),
        "probability": context.probability,
        "unit": text_from(context.unit),
        "method": text_from(served.request.method),
        "target": text_from(served.request.target),
        "status": answer.status,
        "outcome": reading.answer.outcome.value,
        "failure": storable(answer.failure),
        "latency_us": answer.latency,
        "first_byte_us": answer.first_byte,
        "first_event_us": answer.first_event,
        "attempts": served.attempts,
        **_first("", first),
        "probability_of_label": first and first.probability,
        "values_json": _all(reading.answer),
        "problem": storable(reading.answer.problem),
        "redacted": served.redacted,
        "headers": _json({text_from(name): text_from(value) for name, value in served.request.headers}).decode(),
        **_body("request", served.request),
        **_body("answer", answer),
    }


def pair_row(reading: ComparedReading, *, duplicate: bool = False) -> Row:
    """The row of `pair` that holds a compared record. A `duplicate` asks what the candidate was compared on before."""
    served, shadow = reading.compared.served, reading.compared.shadow
    agreement = reading.agreement
    return {
        "prediction_id": served.id.hex(),
        "candidate": storable(shadow.backend),
        "request_id": text_from(served.request_id),
        "at": served.at,
        "route": storable(served.context.route),
        "rollout": served.context.rollout,
        "stage": served.context.stage,
        "baseline": storable(served.answer.backend),
        "candidate_failure": storable(shadow.failure),
        "agree": None if agreement.agree is None else int(agreement.agree),
        "difference": agreement.difference,
        "instances": agreement.instances,
        "instances_agreeing": agreement.agreeing,
        "baseline_probability": _probability(reading.baseline),
        "candidate_probability": _probability(reading.candidate),
        "duplicate": int(duplicate),
        "redacted": served.redacted | reading.compared.redacted,
        **_side("baseline", served.answer, judged=reading.baseline),
        **_side("candidate", shadow, judged=reading.candidate),
        **_body("request", served.request),
    }


def _side(side: str, answer: Answer, *, judged: Judged) -> Row:
    return {
        f"{side}_outcome": judged.outcome.value,
        f"{side}_status": answer.status,
        f"{side}_latency_us": answer.latency,
        f"{side}_first_event_us": answer.first_event,
        f"{side}_ended": answer.ended,
        **_first(f"{side}_", judged.values[0] if judged.values else None),
        f"{side}_values_json": _all(judged),
        f"{side}_problem": storable(judged.problem),
        **_body(side, answer),
    }


def _probability(judged: Judged) -> float | None:
    return judged.values[0].probability if judged.values else None


def _first(prefix: str, value: Value | None) -> Row:
    return {
        f"{prefix}label": None if value is None or value.label is None else storable(value.label),
        f"{prefix}number": None if value is None else value.number,
        f"{prefix}text": None if value is None or value.text is None else storable(value.text),
    }


def _all(judged: Judged) -> str | None:
    return _json(judged.values).decode() if len(judged.values) > 1 else None


def _body(prefix: str, message: Request | Answer) -> Row:
    return {
        f"{prefix}_type": text_from(message.content_type),
        f"{prefix}_encoding": text_from(message.encoding),
        f"{prefix}_body": message.body,
        f"{prefix}_size": message.size,
    }
