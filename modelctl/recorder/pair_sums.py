"""What one pair of answers to the same request adds to the sums of the candidate. Pure."""

from modelctl.kinds import Outcome, Value
from modelctl.recorder.book import Book
from modelctl.recorder.ledger import OTHER, Page, Place, key_of
from modelctl.recorder.measuring import SUMMABLE, Measured
from modelctl.recorder.readings import ComparedReading
from modelctl.recorder.served_sums import FAILURES, bucket, number_of, was_timed
from modelctl.recorder.texts import storable

# By how many more of something bad the candidate had.
_SIGN = {1: "-", 0: "0", -1: "+"}


def add_pair(book: Book, reading: ComparedReading, *, duplicate: bool) -> None:
    """A pair that counts for its candidate; a `duplicate` is counted on the way only."""
    served, shadow = reading.compared.served, reading.compared.shadow
    page = book.ledger.page_of(served.context, shadow.backend, at=served.at)
    page.count("funnel", "paired")
    if not shadow.failure:
        page.count("funnel", "answered")
    if reading.agreement.agree is not None:
        page.count("funnel", "parsed")
    if duplicate:
        page.count("funnel", "duplicate")
        return
    _add_outcomes(book, page, reading=reading)
    if was_timed(served.answer) and was_timed(shadow):
        page.count("pair_latency", f"baseline:{bucket(served.answer.latency)}")
        page.count("pair_latency", f"candidate:{bucket(shadow.latency)}")
    if reading.agreement.agree is not None:
        _add_agreement(book, page, reading=reading)
    for baseline, candidate in reading.measured:
        _add_field(book, page.place, baseline=baseline, candidate=candidate)
    for path, found in sorted({(book.path(page.place, path), found) for path, found in reading.paths}):
        page.count("field", key_of(path, found))


def _add_outcomes(book: Book, page: Page, *, reading: ComparedReading) -> None:
    baseline, candidate = reading.baseline.outcome, reading.candidate.outcome
    sign = _SIGN[int(candidate in FAILURES) - int(baseline in FAILURES)]
    page.count("pair_error", sign)
    page.count("pair_timeout", _SIGN[int(candidate is Outcome.TIMEOUT) - int(baseline is Outcome.TIMEOUT)])
    for named in reading.slices:
        page.count("slice:pair_error", key_of(*book.slice_of(page.place, named), sign))


def _add_agreement(book: Book, page: Page, *, reading: ComparedReading) -> None:
    agreement, place = reading.agreement, page.place
    page.count("agreement", "equal" if agreement.agree else "different")
    for named in reading.slices:
        page.add("slice:agreement", key_of(*book.slice_of(place, named)), k=int(not agreement.agree))
    _add_confusion(page, baseline=reading.baseline.values, candidate=reading.candidate.values)
    if agreement.difference is not None and abs(agreement.difference) < SUMMABLE:
        book.ledger.add_number(place, "difference", value=agreement.difference)
    if agreement.similarity is not None:
        book.ledger.add_number(place, "similarity", value=agreement.similarity)
    a, b = number_of(reading.baseline), number_of(reading.candidate)
    if a is not None and b is not None:
        pivot = book.pivot(place, "pair_number")
        _add_both(book, place, metric="pair_number", values=(a - pivot, b - pivot), cross="")


def _add_confusion(page: Page, *, baseline: tuple[Value, ...], candidate: tuple[Value, ...]) -> None:
    if len(baseline) != len(candidate):
        return
    for a, b in zip(baseline, candidate, strict=True):
        if a.label is not None and b.label is not None:
            key = key_of(storable(a.label), storable(b.label))
            page.count_one_of_many("confusion", key, other=key_of(OTHER, OTHER))


def _add_field(book: Book, place: Place, *, baseline: Measured, candidate: Measured) -> None:
    if baseline.value is None or candidate.value is None:
        return
    metric = f"pair_{baseline.name}"
    if baseline.flag:
        book.ledger.add(place, metric, key=_SIGN[baseline.harm * int(candidate.value - baseline.value)])
        return
    pivot = book.pivot(place, baseline.name)
    book.ledger.add_number(place, metric, value=candidate.value - baseline.value)
    _add_both(book, place, metric=metric, values=(baseline.value - pivot, candidate.value - pivot), cross="cross")


def _add_both(book: Book, place: Place, *, metric: str, values: tuple[float, float], cross: str) -> None:
    a, b = values
    book.ledger.add_number(place, metric, key="baseline", value=a)
    book.ledger.add_number(place, metric, key="candidate", value=b)
    book.ledger.add(place, metric, key=cross, products=(0, 0, a * b))
