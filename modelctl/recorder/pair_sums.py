"""What pairs of answers to the same requests add to the sums of the candidate. Pure."""

from collections import Counter
from collections.abc import Sequence

from modelctl.kinds import Outcome
from modelctl.recorder.book import Book
from modelctl.recorder.ledger import OTHER, Page, Place, key_of
from modelctl.recorder.measuring import SUMMABLE, Measured
from modelctl.recorder.readings import ComparedReading
from modelctl.recorder.served_sums import FAILURES, bucket, number_of, was_timed
from modelctl.recorder.texts import storable

# By how many more of something bad the candidate had.
_SIGN = {1: "-", 0: "0", -1: "+"}


def add_pairs(book: Book, alike: Sequence[ComparedReading], *, duplicate: bool) -> None:
    """Pairs that count for their candidate, and are alike (recorder.alike); a `duplicate` is counted on the way only."""
    first, n = alike[0], len(alike)
    served, shadow, agree = first.compared.served, first.compared.shadow, first.agreement.agree
    page = book.ledger.page_of(served.context, shadow.backend, at=served.at)
    page.count("funnel", "paired", n=n)
    if not shadow.failure:
        page.count("funnel", "answered", n=n)
    if agree is not None:
        page.count("funnel", "parsed", n=n)
    if duplicate:
        page.count("funnel", "duplicate", n=n)
        return
    _add_outcomes(book, page, alike=alike)
    if was_timed(served.answer) and was_timed(shadow):
        page.count_each("pair_latency", [f"baseline:{bucket(one.compared.served.answer.latency)}" for one in alike])
        page.count_each("pair_latency", [f"candidate:{bucket(one.compared.shadow.latency)}" for one in alike])
    if agree is not None:
        page.count("agreement", "equal" if agree else "different", n=n)
        _add_confusion(page, alike)
        for reading in alike:
            _add_values(book, page, reading=reading)
    _add_contents(book, page, alike=alike)


def _add_outcomes(book: Book, page: Page, *, alike: Sequence[ComparedReading]) -> None:
    baseline, candidate = alike[0].baseline.outcome, alike[0].candidate.outcome
    sign = _SIGN[int(candidate in FAILURES) - int(baseline in FAILURES)]
    page.count("pair_error", sign, n=len(alike))
    page.count("pair_timeout", _SIGN[int(candidate is Outcome.TIMEOUT) - int(baseline is Outcome.TIMEOUT)], n=len(alike))
    for reading in alike:
        for named in reading.slices:
            page.count("slice:pair_error", key_of(*book.slice_of(page.place, named), sign))


def _add_values(book: Book, page: Page, *, reading: ComparedReading) -> None:
    agreement, place = reading.agreement, page.place
    for named in reading.slices:
        page.add("slice:agreement", key_of(*book.slice_of(place, named)), k=int(not agreement.agree))
    if agreement.difference is not None and abs(agreement.difference) < SUMMABLE:
        book.ledger.add_number(place, "difference", value=agreement.difference)
    if agreement.similarity is not None:
        book.ledger.add_number(place, "similarity", value=agreement.similarity)
    a, b = number_of(reading.baseline), number_of(reading.candidate)
    if a is not None and b is not None:
        pivot = book.pivot(place, "pair_number")
        _add_both(book, place, metric="pair_number", values=(a - pivot, b - pivot), cross="")


def _add_confusion(page: Page, alike: Sequence[ComparedReading]) -> None:
    keys = Counter(
        key_of(storable(a.label), storable(b.label))
        for reading in alike
        if len(reading.baseline.values) == len(reading.candidate.values)
        for a, b in zip(reading.baseline.values, reading.candidate.values, strict=True)
        if a.label is not None and b.label is not None
    )
    page.count_each_of_many("confusion", keys, other=key_of(OTHER, OTHER))


def _add_contents(book: Book, page: Page, *, alike: Sequence[ComparedReading]) -> None:
    for reading in alike:
        for baseline, candidate in reading.measured:
            _add_field(book, page.place, baseline=baseline, candidate=candidate)
    for paths, n in Counter([reading.paths for reading in alike]).items():
        for path, found in sorted({(book.path(page.place, path), found) for path, found in paths}):
            page.count("field", key_of(path, found), n=n)


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
