"""What one answer to a client adds to the sums. Pure."""

import math

from modelctl.evidence import SENT, TIMEOUT, Answer
from modelctl.kinds import Outcome
from modelctl.kinds.reading import NOT_A_NUMBER
from modelctl.recorder.book import Book
from modelctl.recorder.ledger import OTHER, Place, key_of, place_of
from modelctl.recorder.measuring import SUMMABLE, Measured
from modelctl.recorder.readings import Judged, ServedReading
from modelctl.recorder.texts import storable
from modelctl.recorder.units import unit_name
from modelctl.traffic import Reason, Role

FAILURES = frozenset({Outcome.BACKEND_ERROR, Outcome.TIMEOUT})

# DDSketch's mapping with a relative error of 1 %: Masson, Rim, Lee, "DDSketch", PVLDB 12(12), 2019, section 2.
ACCURACY = 0.01
SLOW = "slow:"
_LOG_GAMMA = math.log((1 + ACCURACY) / (1 - ACCURACY))


def add_served(book: Book, reading: ServedReading) -> None:
    """An answer that counts for its arm."""
    served, judged = reading.served, reading.answer
    place = place_of(served.context, served.answer.backend, at=served.at)
    failed = int(judged.outcome in FAILURES)
    book.ledger.add(place, "requests", key=judged.outcome.value)
    book.ledger.add(place, "units")
    book.ledger.add(place, "error", k=failed)
    values = [("error", float(failed)), ("timeout", float(judged.outcome is Outcome.TIMEOUT))]
    values += _latency(book, place, reading=reading)
    values += _predictions(book, place, judged=judged)
    values += [found for one in reading.measured if (found := _field(book, place, one=one)) is not None]
    for named in reading.slices:
        book.ledger.add(place, "slice:error", key=key_of(*book.slice_of(place, named)), k=failed)
    if reading.terms.sticky and served.context.rollout:
        _add_unit(book, place, unit=unit_name(served.context.unit), values=values)
    if served.context.role == Role.BASELINE:
        _add_funnel(book, place, reading=reading)


def add_fallback(book: Book, reading: ServedReading) -> None:
    """A request of an arm whose breaker was open, when another one answered in its place."""
    context = reading.served.context
    if context.reason == Reason.FALLBACK and reading.answer.outcome is not Outcome.CANCELLED:
        place = place_of(context, context.instead_of, at=reading.served.at)
        book.ledger.add(place, "units")
        book.ledger.add(place, "funnel", key="fallback")
        if reading.terms.sticky and context.rollout:
            book.units.seen(book.ledger, place, unit=unit_name(context.unit))


def bucket(latency: int) -> str:
    """The DDSketch bucket of a latency in microseconds: bucket i holds gamma^(i-1) < x <= gamma^i. "zero" for 0."""
    return str(bucket_index(latency)) if latency > 0 else "zero"


def bucket_index(microseconds: float) -> int:
    """The number of the bucket of a time above 0."""
    return math.ceil(math.log(microseconds) / _LOG_GAMMA)


def was_timed(answer: Answer) -> bool:
    """Whether the answer's latency says how fast its backend is: failing fast is not being fast."""
    return answer.failure in ("", TIMEOUT)


def number_of(judged: Judged) -> float | None:
    """The mean of the instances: a request counts once, because its instances are not independent of each other."""
    numbers = judged.numbers
    if not numbers:
        return None
    mean = math.fsum(number / len(numbers) for number in numbers)
    return mean if abs(mean) < SUMMABLE else None


def _latency(book: Book, place: Place, *, reading: ServedReading) -> list[tuple[str, float]]:
    """Adds how long the answer took; whether that was too slow, for each line that is drawn."""
    answer = reading.served.answer
    if not was_timed(answer):
        return []
    warm = reading.served.at < reading.terms.warm_until
    book.ledger.add(place, "latency_warm" if warm else "latency", key=bucket(answer.latency))
    if warm or not reading.terms.slower:
        return []
    took = bucket_index(max(answer.latency, 1))
    return [(f"{SLOW}{line}", float(took > line)) for line in reading.terms.slower]


def _predictions(book: Book, place: Place, *, judged: Judged) -> list[tuple[str, float]]:
    for value in judged.values:
        if value.label is not None:
            book.ledger.add_one_of_many(place, "label", key=storable(value.label), other=OTHER)
    number = number_of(judged)
    if number is not None:
        shifted = number - book.pivot(place, "number")
        book.ledger.add_number(place, "number", value=shifted)
        return [("number", shifted)]
    if judged.numbers or judged.problem.startswith(NOT_A_NUMBER):
        book.ledger.add(place, "invalid", key="prediction")
    return []


def _field(book: Book, place: Place, *, one: Measured) -> tuple[str, float] | None:
    """Adds a declared metric; what it adds to its unit's sum, which is shifted like the metric."""
    if one.value is None:
        if one.invalid:
            book.ledger.add(place, "invalid", key=one.name)
        else:
            book.ledger.add(place, one.name, key="missing")
        return None
    if one.flag:
        book.ledger.add(place, one.name, k=int(one.value))
        return one.name, one.value
    shifted = one.value - book.pivot(place, one.name)
    book.ledger.add_number(place, one.name, value=shifted)
    return one.name, shifted


def _add_unit(book: Book, place: Place, *, unit: str, values: list[tuple[str, float]]) -> None:
    book.units.seen(book.ledger, place, unit=unit)
    for metric, value in values:
        book.units.change(book.ledger, place, unit=unit, metric=metric, n=1, s=value)
        if value and (metric in ("error", "timeout") or metric.startswith(SLOW)):
            book.units.met(book.ledger, place, unit=unit, event=metric)


def _add_funnel(book: Book, place: Place, *, reading: ServedReading) -> None:
    fates = dict(reading.served.shown)
    # What was shown was eligible, even where the stage is not known (any more).
    eligible = {arm.backend for arm in reading.terms.arms if arm.shown and arm.role is Role.CANDIDATE} | fates.keys()
    for arm in eligible:
        book.ledger.add(_of(place, arm), "funnel", key="eligible")
    for arm, fate in fates.items():
        book.ledger.add(_of(place, arm), "funnel", key="sampled")
        book.ledger.add(_of(place, arm), "funnel", key="sent" if fate == SENT else storable(f"skipped:{fate}"))


def _of(place: Place, arm: str) -> Place:
    return Place(place.route, place.rollout, place.stage, storable(arm), place.minute)
