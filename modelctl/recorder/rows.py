"""What one record says, and the rows of the database that hold it. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from modelctl.evidence import Answer, Compared, Request, Served
from modelctl.kinds import KINDS, Outcome, Value, text_of
from modelctl.kinds.outcome import judged
from modelctl.traffic import CHOSEN, Arm, Backend, Reason

# Model servers that compute the same thing in another order differ in the last digits.
NUMBER_TOLERANCE = 1e-9

# Answers that nobody's share led to: a client chose the arm, or the arm that was drawn was not asked.
_APART = CHOSEN | {Reason.FALLBACK}
_NOTHING_SAID = frozenset({Outcome.CANCELLED, Outcome.SWITCHED})

Row = dict[str, object]
_json = msgspec.json.Encoder().encode


class Judged(NamedTuple):
    """What an answer says: its outcome, one value per instance of the request, or the problem why there is none."""

    outcome: Outcome
    values: tuple[Value, ...]
    problem: str

    @property
    def numbers(self) -> tuple[float, ...]:
        """The values, if every one is a number; else nothing."""
        numbers = tuple(value.number for value in self.values if value.number is not None)
        return numbers if len(numbers) == len(self.values) else ()


class ServedReading(NamedTuple):
    """A served record, understood. `arms` are those of its stage."""

    served: Served
    answer: Judged
    arms: tuple[Arm, ...] = ()


class Agreement(NamedTuple):
    """How two answers to one request compare: `agree` if every instance does, None if an answer holds no prediction.

    `difference` is the mean over the instances of candidate minus baseline, None unless all of them are numbers.
    """

    agree: bool | None
    instances: int
    agreeing: int
    difference: float | None


class ComparedReading(NamedTuple):
    """A compared record, understood."""

    compared: Compared
    baseline: Judged
    candidate: Judged
    agreement: Agreement


Reading = ServedReading | ComparedReading


def judge(answer: Answer, backend: Backend | None) -> Judged:
    """What `answer` says, by the kind of its backend; where that is unknown, by what holds for HTTP in general."""
    if backend is None:
        return Judged(judged(answer), (), f"the backend {answer.backend!r} is not registered, so its answer cannot be read")
    kind = KINDS.get(backend.kind)
    if kind is None:
        return Judged(judged(answer), (), f"this version does not know the kind {backend.kind!r} of backend {backend.name!r}")
    extraction = kind.extract(answer, backend)
    return Judged(kind.outcome(answer), extraction.values, extraction.problem)


def counts(reading: Reading) -> bool:
    """Whether a reading says anything about the arms: chosen arms, fallbacks, tunnels and clients that left do not."""
    if isinstance(reading, ServedReading):
        return reading.served.context.reason not in _APART and reading.answer.outcome not in _NOTHING_SAID
    outcomes = {reading.baseline.outcome, reading.candidate.outcome}
    return reading.compared.served.context.reason not in _APART and not outcomes & _NOTHING_SAID


def compare(baseline: Judged, candidate: Judged) -> Agreement:
    """Instance by instance, in their order. Answers with different numbers of instances do not agree."""
    instances = max(len(baseline.values), len(candidate.values))
    if not baseline.values or not candidate.values:
        return Agreement(None, instances, 0, None)
    agreeing = sum(map(_same, baseline.values, candidate.values))
    return Agreement(agreeing == instances, instances, agreeing, _difference(baseline.numbers, candidate.numbers))


def _same(a: Value, b: Value) -> bool:
    if a.number is not None and b.number is not None:
        return math.isclose(a.number, b.number, rel_tol=NUMBER_TOLERANCE)
    return text_of(a) == text_of(b)


def _difference(baseline: Sequence[float], candidate: Sequence[float]) -> float | None:
    if not baseline or len(baseline) != len(candidate):
        return None
    difference = math.fsum((b - a) / len(baseline) for a, b in zip(baseline, candidate, strict=True))
    return difference if math.isfinite(difference) else None


def storable(text: str) -> str:
    """`text` without what PostgreSQL cannot store: NUL becomes U+FFFD, a lone surrogate its escape."""
    if "\0" in text:
        text = text.replace("\0", "�")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def text_from(raw: bytes) -> str:
    """Bytes from the wire as text: UTF-8, and what is not as `\\xff`."""
    return storable(raw.decode("utf-8", "backslashreplace"))


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
        "headers": _json({text_from(name): text_from(value) for name, value in served.request.headers}).decode(),
        **_body("request", served.request),
        **_body("answer", answer),
    }


def pair_row(reading: ComparedReading) -> Row:
    """The row of `pair` that holds a compared record."""
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
