"""Answers that are JSON, place by place: which paths differ, and how. From `field`; nothing here decides. Pure."""

from collections import defaultdict

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.figures import share
from modelctl.controlplane.report.measure import Measure, measure
from modelctl.statistics import coin
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.tuning import ALPHA

SHOWN = 50
_OTHER = "…"
_CLASSES = ("equal", "value", "type", "missing", "extra")


class FieldPath(msgspec.Struct, frozen=True, kw_only=True):
    """One path in `n` pairs of answers: equal, another value, another type, missing in the candidate's, extra in it. `measure` is
    the share that is equal; None for `…`, which stands for all paths beyond the recorder's limit."""

    path: str
    n: int
    equal: int
    value: int
    type: int
    missing: int
    extra: int
    measure: Measure | None


class FieldTable(msgspec.Struct, frozen=True, kw_only=True):
    """Of `paths` those that differ most are in `first`, `differing` differ at all. `equal` is the share of all values that are
    equal; values of one answer are not independent of each other, so it has no interval."""

    candidate: str
    n: int
    paths: int
    differing: int
    equal: float
    first: tuple[FieldPath, ...]
    sentence: str


def field_tables(evidence: Evidence) -> tuple[FieldTable, ...]:
    """One for each candidate whose answers and the baseline's were both JSON."""
    found = (_table(evidence, candidate) for candidate in evidence.rollout.candidates)
    return tuple(one for one in found if one is not None)


def _table(evidence: Evidence, candidate: str) -> FieldTable | None:
    counts: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_CLASSES, 0))
    for key, n in evidence.sums.counts(candidate, "field").items():
        path, found = msgspec.json.decode(key, type=tuple[str, str])
        counts[path][found] = n
    if not counts:
        return None
    values, equal = sum(sum(one.values()) for one in counts.values()), sum(one["equal"] for one in counts.values())
    order = sorted(counts, key=lambda path: (counts[path]["equal"] - sum(counts[path].values()), path))
    differing = sum(one["equal"] < sum(one.values()) for one in counts.values())
    first = tuple(_path(path, counts[path]) for path in order[:SHOWN])
    return FieldTable(
        candidate=candidate,
        n=max(sum(one.values()) for path, one in counts.items() if path != _OTHER or len(counts) == 1),
        paths=len(counts),
        differing=differing,
        equal=equal / values,
        first=first,
        sentence=_sentence(candidate, first[0], paths=len(counts), differing=differing),
    )


def _path(path: str, counts: dict[str, int]) -> FieldPath:
    n = sum(counts.values())
    return FieldPath(path=path, n=n, measure=None if path == _OTHER else _equal(counts["equal"], n), **counts)


def _equal(equal: int, n: int) -> Measure:
    lower, upper = coin.interval(equal, n, alpha=ALPHA)
    found = Comparison(estimate=equal / n, lower=lower, upper=upper, n=n, method="coin", alpha=ALPHA)
    return measure(found, unit="share", counts="pairs", tested=False)


def _sentence(candidate: str, worst: FieldPath, *, paths: int, differing: int) -> str:
    if not differing:
        return f"{candidate} gave the same {paths:,} places as the baseline in every pair."
    return (
        f"{differing:,} of {paths:,} places differ at least once for {candidate}; most often {worst.path}, equal in "
        f"{share(worst.equal / worst.n)} of {worst.n:,} pairs."
    )
