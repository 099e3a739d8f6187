"""One measured number of a report's sections: n, estimate, interval, evidence, and where its formula is explained. Pure."""

import math
from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from modelctl.controlplane.judgement.comparison import finite
from modelctl.statistics.comparison import Comparison

PAGE = "docs/statistics.md"

ANCHORS: Mapping[str, str] = MappingProxyType(
    {
        "grid-betting": "the-same-requests-pairs",
        "normal-mixture": "means-numbers-losses-rewards",
        "stratified": "each-its-share-a-canary-or-an-ab-test",
        "arm-given-event": "each-its-share-a-canary-or-an-ab-test",
        "coin-box": "each-its-share-a-canary-or-an-ab-test",
        "coin": "one-arm-against-a-number-limits",
        "equal-shares": "slices-where-is-it-worse",
        "contrast": "means-numbers-losses-rewards",
        "group-sequential": "one-look-at-an-n-that-was-fixed-beforehand",
        "single-look": "one-look-at-an-n-that-was-fixed-beforehand",
        "withheld": "one-look-at-an-n-that-was-fixed-beforehand",
        "sample-ratio": "can-the-data-be-trusted",
        "label-mix": "drift-does-the-mix-of-labels-change",
        "newcombe": "the-grey-numbers-one-look",
        "miettinen-nurminen": "the-grey-numbers-one-look",
        "stratified-z": "the-grey-numbers-one-look",
        "unit-z": "the-grey-numbers-one-look",
        "mcnemar-mid-p": "the-grey-numbers-one-look",
        "wilson": "the-grey-numbers-one-look",
        "welch": "the-grey-numbers-one-look",
        "paired-t": "the-grey-numbers-one-look",
    }
)
"""The heading of PAGE that explains a method."""


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """`estimate` with the interval of `level` (None is infinite), in `unit`: share, points, ratio or value; `n` are `counts`.

    `log10_e` is the evidence against `null`; None where the method gives none. `source` is where `method` is explained.
    """

    n: int
    counts: str
    unit: str
    estimate: float | None
    lower: float | None
    upper: float | None
    level: float
    null: float | None
    log10_e: float | None
    method: str
    source: str
    reason: str = ""


def measure(found: Comparison, *, unit: str, counts: str, tested: bool = True) -> Measure:
    """A comparison as it is shown. Not `tested`: it is an interval alone, against nothing."""
    return Measure(
        n=found.n,
        counts=counts,
        unit=unit,
        estimate=finite(found.estimate),
        lower=finite(found.lower),
        upper=finite(found.upper),
        level=1 - found.alpha,
        null=found.null if tested else None,
        log10_e=finite(found.log_e / math.log(10)) if tested else None,
        method=found.method,
        source=source_of(found.method),
        reason=found.reason,
    )


def source_of(method: str) -> str:
    """The page and heading for a method; empty for none."""
    return f"{PAGE}#{ANCHORS[method]}" if method in ANCHORS else ""


def source_of_row(method: str, unit: str) -> str:
    """The same for a row of the decision table: the normal mixture is of shares or of values."""
    split = method == "normal-mixture" and unit == "share"
    return source_of("stratified" if split else method)
