"""What one record says: outcomes, predictions, how two answers compare, the metrics and slices its terms declare. Pure."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import blake2b

import msgspec

from modelctl.evidence import REQUEST_LEFT_OUT, REQUEST_REDACTED, Answer, Compared, Context, Request, Served
from modelctl.kinds import KINDS, Outcome, Value, text_of
from modelctl.kinds.document import ABSENT, document_of
from modelctl.kinds.outcome import judged
from modelctl.kinds.similarity import similarity
from modelctl.kinds.slicing import Asked, slices_of, wants_document
from modelctl.recorder.measuring import Measured, measured
from modelctl.recorder.paths import NUMBER_TOLERANCE, differences
from modelctl.recorder.terms import Terms
from modelctl.recorder.texts import text_from
from modelctl.traffic import CHOSEN, Backend, Reason

# Answers that nobody's share led to: a client chose the arm, or the arm that was drawn was not asked.
_APART = CHOSEN | {Reason.FALLBACK}
_NOTHING_SAID = frozenset({Outcome.CANCELLED, Outcome.SWITCHED})


Slices = tuple[tuple[str, str], ...]
Judge = Callable[[Answer], "Judged"]


class Judged(msgspec.Struct, frozen=True, gc=False):
    """What an answer says: its outcome, one value per instance of the request, or the problem why there is none."""

    outcome: Outcome
    values: tuple[Value, ...]
    problem: str

    @property
    def numbers(self) -> tuple[float, ...]:
        """The values, if every one is a number; else nothing."""
        if self.values and self.values[0].number is None:
            return ()
        numbers = tuple(value.number for value in self.values if value.number is not None)
        return numbers if len(numbers) == len(self.values) else ()


class ServedReading(msgspec.Struct, frozen=True, gc=False):
    """A served record, understood under its `terms`."""

    served: Served
    answer: Judged
    terms: Terms = Terms()
    measured: tuple[Measured, ...] = ()
    slices: Slices = ()


class Agreement(msgspec.Struct, frozen=True, gc=False):
    """How two answers to one request compare: `agree` if every instance does, None if an answer holds no prediction.

    `difference` is the mean over the instances of candidate minus baseline, None unless all of them are numbers; `similarity`
    how alike they are, from 0 to 1, None unless all of them are texts or all rankings.
    """

    agree: bool | None
    instances: int
    agreeing: int
    difference: float | None
    similarity: float | None = None


class ComparedReading(msgspec.Struct, frozen=True, gc=False):
    """A compared record, understood under its `terms`. `paths` are the places of both answers with how they compare.

    `digest` tells what was asked; it is empty where that was not recorded whole or redacted.
    """

    compared: Compared
    baseline: Judged
    candidate: Judged
    agreement: Agreement
    terms: Terms = Terms()
    measured: tuple[tuple[Measured, Measured], ...] = ()
    slices: Slices = ()
    paths: tuple[tuple[str, str], ...] = ()
    digest: str = ""

    @property
    def is_noise(self) -> bool:
        """Whether the candidate is a second copy of the baseline: what differs then is noise."""
        return self.compared.shadow.backend == self.compared.served.answer.backend


Reading = ServedReading | ComparedReading


def understand(record: Served | Compared, judge: Judge, *, terms: Terms) -> Reading:
    """What `record` says, to backends that `judge` knows."""
    return _served(record, judge, terms=terms) if isinstance(record, Served) else _compared(record, judge, terms=terms)


def _served(record: Served, judge: Judge, *, terms: Terms) -> ServedReading:
    answer = judge(record.answer)
    if not terms.fields and not terms.dimensions:
        return ServedReading(record, answer, terms)
    document = document_of(record.answer) if terms.fields and answer.outcome is Outcome.OK else ABSENT
    found = measured(document, terms.fields) if answer.outcome is Outcome.OK else ()
    return ServedReading(record, answer, terms, found, _slices(record, terms))


def _compared(record: Compared, judge: Judge, *, terms: Terms) -> ComparedReading:
    baseline, candidate = judge(record.served.answer), judge(record.shadow)
    agreement = compare(baseline, candidate)
    reading = partial(ComparedReading, record, baseline, candidate, agreement, terms)
    redacted = record.served.redacted & (REQUEST_REDACTED | REQUEST_LEFT_OUT)
    digest = "" if redacted else digest_of(record.served.request)  # what differed may be what was taken out
    if not baseline.outcome is candidate.outcome is Outcome.OK:
        return reading((), _slices(record.served, terms), (), digest)
    a = document_of(record.served.answer)
    same = _bytes(record.shadow) == _bytes(record.served.answer)
    b = a if same else document_of(record.shadow)
    both = tuple(zip(measured(a, terms.fields), measured(b, terms.fields), strict=True))
    paths = () if a is ABSENT or b is ABSENT else differences(a, b)
    return reading(both, _slices(record.served, terms), paths, digest)


def digest_of(request: Request) -> str:
    """The same for the same question (method, target and body); empty where the body was not recorded whole."""
    if len(request.body) < request.size:
        return ""
    digest = blake2b(digest_size=16)
    for part in (request.method, request.target):
        digest.update(len(part).to_bytes(4, "big") + part)
    digest.update(request.body)
    return digest.hexdigest()


def _bytes(answer: Answer) -> tuple[bytes, int, bytes]:
    return answer.body, answer.size, answer.encoding


def _slices(served: Served, terms: Terms) -> Slices:
    if not terms.dimensions:
        return ()
    headers = {text_from(name): text_from(value) for name, value in served.request.headers}
    document = document_of(served.request) if wants_document(terms.dimensions) else ABSENT
    return slices_of(terms.dimensions, Asked(headers, document, served.at))


def judge(answer: Answer, backend: Backend | None) -> Judged:
    """What `answer` says, by the kind of its backend; where that is unknown, by what holds for HTTP in general."""
    if backend is None:
        return Judged(judged(answer), (), f"the backend {answer.backend!r} is not registered, so its answer cannot be read")
    kind = KINDS.get(backend.kind)
    if kind is None:
        return Judged(judged(answer), (), f"this version does not know the kind {backend.kind!r} of backend {backend.name!r}")
    extraction = kind.extract(answer, backend)
    # Only an answer that is ok holds values.
    return Judged(Outcome.OK if extraction.values else kind.outcome(answer), extraction.values, extraction.problem)


def counts(reading: Reading) -> bool:
    """Whether a reading says anything about the arms: previews, fallbacks, tunnels, and requests whose client left, do not."""
    if isinstance(reading, ServedReading):
        return is_sample(reading.served.context.reason, reading.answer.outcome)
    reason = reading.compared.served.context.reason
    return is_sample(reason, reading.baseline.outcome) and is_sample(reason, reading.candidate.outcome)


def is_sample(reason: str, outcome: str) -> bool:
    """Whether an answer with this outcome, to a request that was routed for this reason, says anything about its arm."""
    return reason not in _APART and outcome not in _NOTHING_SAID


def served_of(reading: Reading) -> Served:
    """The record of the answer that the client got."""
    return reading.served if isinstance(reading, ServedReading) else reading.compared.served


def context_of(reading: Reading) -> Context:
    """The decision that the request fell under."""
    return reading.served.context if isinstance(reading, ServedReading) else reading.compared.served.context


def compare(baseline: Judged, candidate: Judged) -> Agreement:
    """Instance by instance, in their order. Answers with different numbers of instances do not agree."""
    instances = max(len(baseline.values), len(candidate.values))
    if not baseline.values or not candidate.values:
        return Agreement(None, instances, 0, None)
    agreeing = sum(map(_same, baseline.values, candidate.values))
    difference, alike = _difference(baseline.numbers, candidate.numbers), similarity(baseline.values, candidate.values)
    return Agreement(agreeing == instances, instances, agreeing, difference, alike)


def _same(a: Value, b: Value) -> bool:
    if a.number is not None and b.number is not None:
        return math.isclose(a.number, b.number, rel_tol=NUMBER_TOLERANCE)
    return text_of(a) == text_of(b)


def _difference(baseline: Sequence[float], candidate: Sequence[float]) -> float | None:
    if not baseline or len(baseline) != len(candidate):
        return None
    difference = math.fsum((b - a) / len(baseline) for a, b in zip(baseline, candidate, strict=True))
    return difference if math.isfinite(difference) else None
