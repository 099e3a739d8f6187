"""What answers to clients add to the sums. Pure."""

import math
from collections import Counter
from collections.abc import Sequence
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


def add_answers(book: Book, alike: Sequence[ServedReading]) -> None:
    """Answers that count for their arm, and are alike (recorder.alike)."""
    first, n = alike[0], len(alike)
    served, outcome = first.served, first.answer.outcome
    page = book.ledger.page_of(served.context, served.answer.backend, at=served.at)
    page.count("requests", outcome.value, n=n)
    page.count("units", n=n)
    page.add("error", n=n, k=n if outcome in FAILURES else 0)
    if was_timed(served.answer):
        _add_latencies(page, alike)
    _add_predictions(book, page, alike=alike)
    if first.measured or first.slices or (first.terms.sticky and served.context.rollout):
        for reading in alike:
            _add_one(book, page, reading=reading)
    if served.context.role == Role.BASELINE:
        _add_funnel(book, first, n=n)


def add_fallbacks(book: Book, alike: Sequence[ServedReading]) -> None:
    """Requests of an arm whose breaker was open, when another one answered in its place."""
    first, n = alike[0], len(alike)
    context = first.served.context
    if context.reason == Reason.FALLBACK and first.answer.outcome is not Outcome.CANCELLED:
        place = place_of(context, context.instead_of, at=first.served.at)
        book.ledger.add(place, "units", n=n)
        book.ledger.add(place, "funnel", key="fallback", n=n)
        if first.terms.sticky and context.rollout:
            for reading in alike:
                book.units.seen(book.ledger, place, unit=unit_name(reading.served.context.unit))


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


def _add_latencies(page: Page, alike: Sequence[ServedReading]) -> None:
    warm_until = alike[0].terms.warm_until
    taken = [reading.served for reading in alike]
    page.count_each("latency", [bucket(served.answer.latency) for served in taken if served.at >= warm_until])
    page.count_each("latency_warm", [bucket(served.answer.latency) for served in taken if served.at < warm_until])


def _add_predictions(book: Book, page: Page, *, alike: Sequence[ServedReading]) -> None:
    labels, numbers = [], []
    for reading in alike:
        judged = reading.answer
        labels += [value.label for value in judged.values if value.label is not None]
        number = number_of(judged)
        if number is not None:
            numbers.append(number)
        elif judged.problem.startswith(NOT_A_NUMBER) or judged.numbers:
            page.count("invalid", "prediction")
    page.count_each_of_many("label", Counter(map(storable, labels)), other=OTHER)
    if numbers:
        pivot = book.pivot(page.place, "number")
        shifted = [number - pivot for number in numbers]
        page.add("number", n=len(shifted), products=(sum(shifted), sum([value * value for value in shifted]), 0))


def _add_one(book: Book, page: Page, *, reading: ServedReading) -> None:
    """Adds what is one answer's own: declared metrics, slices, and what it adds to its unit's sums."""
    served, outcome = reading.served, reading.answer.outcome
    failed = 1 if outcome in FAILURES else 0
    values = [found for one in reading.measured if (found := _field(book, page.place, one=one)) is not None]
    for named in reading.slices:
        page.add("slice:error", key_of(*book.slice_of(page.place, named)), k=failed)
    if reading.terms.sticky and served.context.rollout:
        values += _slow(reading)
        number = number_of(reading.answer)
        if number is not None:
            values.append(("number", number - book.pivot(page.place, "number")))
        values += [("error", float(failed)), ("timeout", float(outcome is Outcome.TIMEOUT))]
        _add_unit(book, page.place, unit=unit_name(served.context.unit), values=values)


def _slow(reading: ServedReading) -> list[tuple[str, float]]:
    """Whether the answer was too slow, for each line that is drawn."""
    answer, terms = reading.served.answer, reading.terms
    if not terms.slower or not was_timed(answer) or reading.served.at < terms.warm_until:
        return []
    took = bucket_index(max(answer.latency, 1))
    return [(f"{SLOW}{line}", float(took > line)) for line in terms.slower]


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


def _add_funnel(book: Book, reading: ServedReading, *, n: int) -> None:
    served = reading.served
    fates = dict(served.shown)
    # What was shown was eligible, even where the stage is not known (any more).
    eligible = book.eligible(reading.terms.arms)
    for arm in eligible.union(fates) if fates else eligible:
        page = book.ledger.page_of(served.context, arm, at=served.at)
        page.count("funnel", "eligible", n=n)
        if arm in fates:
            fate = fates[arm]
            page.count("funnel", "sampled", n=n)
            page.count("funnel", "sent" if fate == SENT else storable(f"skipped:{fate}"), n=n)
