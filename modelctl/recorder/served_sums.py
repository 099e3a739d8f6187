"""What one answer to a client adds to the sums. Pure."""

import math
from functools import lru_cache

from modelctl.evidence import SENT, TIMEOUT, Answer
from modelctl.kinds import Outcome
from modelctl.kinds.reading import NOT_A_NUMBER
from modelctl.latency import bucket_index
from modelctl.recorder.book import Book
from modelctl.recorder.ledger import OTHER, Page, Place, key_of, place_of
from modelctl.recorder.measuring import SUMMABLE, Measured
from modelctl.recorder.readings import Judged, ServedReading
from modelctl.recorder.texts import storable
from modelctl.recorder.units import unit_name
from modelctl.traffic import Reason, Role

FAILURES = frozenset({Outcome.BACKEND_ERROR, Outcome.TIMEOUT})
SLOW = "slow:"


def add_served(book: Book, reading: ServedReading) -> None:
    """An answer that counts for its arm."""
    served, outcome = reading.served, reading.answer.outcome
    page = book.ledger.page_of(served.context, served.answer.backend, at=served.at)
    failed = 1 if outcome in FAILURES else 0
    page.count("requests", outcome.value)
    page.count("units")
    page.add("error", k=failed)
    values = _latency(page, reading)
    values += _predictions(book, page, judged=reading.answer)
    if reading.measured:
        values += [found for one in reading.measured if (found := _field(book, page.place, one=one)) is not None]
    for named in reading.slices:
        page.add("slice:error", key_of(*book.slice_of(page.place, named)), k=failed)
    if reading.terms.sticky and served.context.rollout:
        values += [("error", float(failed)), ("timeout", float(outcome is Outcome.TIMEOUT))]
        _add_unit(book, page.place, unit=unit_name(served.context.unit), values=values)
    if served.context.role == Role.BASELINE:
        _add_funnel(book, reading)


def add_fallback(book: Book, reading: ServedReading) -> None:
    """A request of an arm whose breaker was open, when another one answered in its place."""
    context = reading.served.context
    if context.reason == Reason.FALLBACK and reading.answer.outcome is not Outcome.CANCELLED:
        place = place_of(context, context.instead_of, at=reading.served.at)
        book.ledger.add(place, "units")
        book.ledger.add(place, "funnel", key="fallback")
        if reading.terms.sticky and context.rollout:
            book.units.seen(book.ledger, place, unit=unit_name(context.unit))


@lru_cache(maxsize=65_536)
def bucket(latency: int) -> str:
    """The key that a latency in microseconds is counted under: its bucket, "zero" for 0."""
    return str(bucket_index(latency)) if latency > 0 else "zero"


def was_timed(answer: Answer) -> bool:
    """Whether the answer's latency says how fast its backend is: failing fast is not being fast."""
    return answer.failure in ("", TIMEOUT)


def number_of(judged: Judged) -> float | None:
    """The mean of the instances: a request counts once, because its instances are not independent of each other."""
    if not judged.values or judged.values[0].number is None:
        return None
    numbers = judged.numbers
    if not numbers:
        return None
    mean = math.fsum(number / len(numbers) for number in numbers)
    return mean if abs(mean) < SUMMABLE else None


def _latency(page: Page, reading: ServedReading) -> list[tuple[str, float]]:
    """Adds how long the answer took; whether that was too slow, for each line that is drawn."""
    answer, terms = reading.served.answer, reading.terms
    if not was_timed(answer):
        return []
    warm = reading.served.at < terms.warm_until
    page.count("latency_warm" if warm else "latency", bucket(answer.latency))
    if warm or not terms.slower:
        return []
    took = bucket_index(max(answer.latency, 1))
    return [(f"{SLOW}{line}", float(took > line)) for line in terms.slower]


def _predictions(book: Book, page: Page, *, judged: Judged) -> list[tuple[str, float]]:
    for value in judged.values:
        if value.label is not None:
            page.count_one_of_many("label", storable(value.label), other=OTHER)
    number = number_of(judged)
    if number is not None:
        shifted = number - book.pivot(page.place, "number")
        page.add("number", products=(shifted, shifted * shifted, 0))
        return [("number", shifted)]
    if judged.problem.startswith(NOT_A_NUMBER) or judged.numbers:
        page.count("invalid", "prediction")
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


def _add_funnel(book: Book, reading: ServedReading) -> None:
    served = reading.served
    fates = dict(served.shown)
    # What was shown was eligible, even where the stage is not known (any more).
    eligible = book.eligible(reading.terms.arms)
    for arm in eligible | fates.keys() if fates else eligible:
        page = book.ledger.page_of(served.context, arm, at=served.at)
        page.count("funnel", "eligible")
        if arm in fates:
            fate = fates[arm]
            page.count("funnel", "sampled")
            page.count("funnel", "sent" if fate == SENT else storable(f"skipped:{fate}"))
