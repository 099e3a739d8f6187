"""Where in the traffic a candidate is worse: its slices by declared dimension, ranked by evidence. Nothing here decides. Pure.

All slices of all kinds and candidates are one family: e-BH flags those that stand out at a false discovery rate of 10 %, under any
dependence between them. What is compared:

    failures   split   which arm a slice's failures fell on (arm-given-event, ratio)
    failures   paired  on the same requests of the slice (grid betting)
    answers    paired  does the candidate differ from the baseline more often in the slice than in the rest (equal shares)
    labels     split   which arm a slice's wrong predictions fell on (arm-given-event, ratio)
"""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence, shared_stages
from modelctl.controlplane.judgement.figures import figure, how_many, share
from modelctl.controlplane.report.measure import Measure, measure
from modelctl.statistics import arm_given_event, equal_shares, grid_betting
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import Proportion
from modelctl.statistics.equal_shares import Groups
from modelctl.statistics.multiplicity import e_bh
from modelctl.statistics.tuning import ALPHA

FALSE_DISCOVERIES = 0.10
SHOWN = 100
DISAGREEMENT = "different predictions"

Named = tuple[str, str]
"""A dimension and a value."""

_STICKY = "Units are kept on their arm and slices count requests, so slices of split traffic are not compared."


class Slice(msgspec.Struct, frozen=True, kw_only=True):
    """One slice of one candidate. `baseline` and `candidate_value` are the shares compared: of both arms, or for disagreement of
    the rest and the slice. `flagged`: it stands out among all slices. `direction` is the estimate's side: worse, better or even;
    more or less for disagreement, which has no bad side."""

    candidate: str
    kind: str
    dimension: str
    value: str
    baseline: float | None
    candidate_value: float | None
    measure: Measure
    flagged: bool
    direction: str
    sentence: str


class Slices(msgspec.Struct, frozen=True, kw_only=True):
    """`compared` slices, of which the `first` are here, strongest evidence first. They decide nothing."""

    compared: int
    flagged: int
    false_discovery_rate: float
    first: tuple[Slice, ...]
    sentence: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One comparison by its evidence. `values` are the shares that it compares; `whole` gives the interval as well, which takes
    ten times as long: so it is asked of what is shown."""

    candidate: str
    kind: str
    named: Named
    log_e: float
    values: tuple[float | None, float | None]
    whole: Callable[[], Comparison]


def slices(evidence: Evidence) -> Slices | None:
    """None when the rollout has no dimensions, or nothing was summed up by them."""
    every = [one for candidate in evidence.rollout.candidates for one in _all(evidence, candidate)]
    values = Counter(name for name, _ in {one.named for one in every})
    # A dimension that has one value so far cuts nothing.
    found = [one for one in every if values[one.named[0]] > 1]
    split_skipped = evidence.rollout.unit != "request" and any(
        evidence.sums.rows_of(name, "slice:error") for name in evidence.rollout.candidates
    )
    if not found and not split_skipped:
        return None
    flagged = set(e_bh([one.log_e for one in found], alpha=FALSE_DISCOVERIES)) if found else set()
    order = sorted(range(len(found)), key=lambda place: (-found[place].log_e, found[place].kind, found[place].named))
    return Slices(
        compared=len(found),
        flagged=len(flagged),
        false_discovery_rate=FALSE_DISCOVERIES,
        first=tuple(_shown(found[place], flagged=place in flagged) for place in order[:SHOWN]),
        sentence=_summary(found, order=order, flagged=flagged),
        note=_STICKY if split_skipped else "",
    )


def _all(evidence: Evidence, candidate: str) -> Iterator[Found]:
    if evidence.rollout.unit == "request":
        yield from _events(evidence, candidate, metric="error")
        yield from _events(evidence, candidate, metric="accuracy")
    yield from _pairs(evidence, candidate)
    yield from _disagreements(evidence, candidate)


def _events(evidence: Evidence, candidate: str, *, metric: str) -> Iterator[Found]:
    """Events are failures, or wrong predictions."""
    kind = "failures" if metric == "error" else "wrong predictions"
    stages = shared_stages(evidence, candidate)
    sums = [_by_slice(evidence, arm, metric=metric) for arm in (evidence.rollout.baseline, candidate)]
    for named in sorted({*sums[0], *sums[1]}):
        events, totals = [], [Proportion(0, 0), Proportion(0, 0)]
        for stage, baseline, other in stages:
            arms = [part[named].get(stage.id, Proportion(0, 0)) for part in sums]
            totals = [_added(total, arm) for total, arm in zip(totals, arms, strict=True)]
            events.append(EventStage(arms[1].k, arms[0].k + arms[1].k, other.answers / (baseline.answers + other.answers)))
        if any(total.n for total in totals):
            yield Found(
                candidate=candidate,
                kind=kind,
                named=named,
                log_e=arm_given_event.evidence(events),
                values=(_rate(totals[0]), _rate(totals[1])),
                whole=partial(arm_given_event.compare, events, alpha=ALPHA),
            )


def _by_slice(evidence: Evidence, arm: str, *, metric: str) -> defaultdict[Named, dict[int, Proportion]]:
    found: defaultdict[Named, dict[int, Proportion]] = defaultdict(dict)
    for row in evidence.sums.rows_of(arm, f"slice:{metric}"):
        k = row.n - row.k if metric == "accuracy" else row.k
        found[_named(row.key)][row.stage] = Proportion(row.n, k)
    return found


def _pairs(evidence: Evidence, candidate: str) -> Iterator[Found]:
    signs: defaultdict[Named, dict[str, int]] = defaultdict(lambda: {"-": 0, "0": 0, "+": 0})
    for row in evidence.sums.rows_of(candidate, "slice:pair_error"):
        dimension, value, sign = msgspec.json.decode(row.key, type=tuple[str, str, str])
        signs[dimension, value][sign] += row.n
    for named, counted in sorted(signs.items()):
        n = sum(counted.values())
        counts, better = (counted["-"], counted["0"]), counted["+"]
        yield Found(
            candidate=candidate,
            kind="failures on the same requests",
            named=named,
            log_e=grid_betting.evidence(*counts, n_neg=better),
            values=(better / n, counts[0] / n) if n else (None, None),
            whole=partial(grid_betting.compare, *counts, n_neg=better, alpha=ALPHA),
        )


def _disagreements(evidence: Evidence, candidate: str) -> Iterator[Found]:
    sums = _by_slice(evidence, candidate, metric="agreement")
    for named in sorted(sums):
        others = [name for name in sums if name[0] == named[0] and name != named]
        periods = [Groups(part, _union(sums[name].get(stage) for name in others)) for stage, part in sorted(sums[named].items())]
        groups = [one for one in periods if one.part.n and one.rest.n]
        if groups:
            part, rest = _union(one.part for one in groups), _union(one.rest for one in groups)
            yield Found(
                candidate=candidate,
                kind=DISAGREEMENT,
                named=named,
                log_e=equal_shares.evidence(groups),
                values=(_rate(rest), _rate(part)),
                whole=partial(equal_shares.compare, groups, alpha=ALPHA),
            )


def _named(key: str) -> Named:
    return msgspec.json.decode(key, type=tuple[str, str])


def _union(parts: "Iterator[Proportion | None] | list[Proportion]") -> Proportion:
    there = [part for part in parts if part is not None]
    return Proportion(sum(part.n for part in there), sum(part.k for part in there))


def _added(a: Proportion, b: Proportion) -> Proportion:
    return Proportion(a.n + b.n, a.k + b.k)


def _rate(part: Proportion) -> float | None:
    return part.k / part.n if part.n else None


def _shown(one: Found, *, flagged: bool) -> Slice:
    unit, counts = _UNITS[one.kind]
    result = one.whole()
    return Slice(
        candidate=one.candidate,
        kind=one.kind,
        dimension=one.named[0],
        value=one.named[1],
        baseline=one.values[0],
        candidate_value=one.values[1],
        measure=measure(result, unit=unit, counts=counts),
        flagged=flagged,
        direction=_direction(one.kind, result),
        sentence=_sentence(one, result, flagged=flagged),
    )


_UNITS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "failures": ("ratio", "failures"),
        "wrong predictions": ("ratio", "wrong predictions"),
        "failures on the same requests": ("share", "pairs"),
        DISAGREEMENT: ("share", "pairs"),
    }
)


def _direction(kind: str, result: Comparison) -> str:
    sides = ("more", "less") if kind == DISAGREEMENT else ("worse", "better")
    if result.estimate is None or result.estimate == result.null:
        return "even"
    return sides[0] if result.estimate > result.null else sides[1]


def _sentence(one: Found, result: Comparison, *, flagged: bool) -> str:
    what = _WORDS[one.kind](one, result)
    stands = "stands out among all slices" if flagged else "may be chance, among so many slices"
    return f"{one.named[0]} {one.named[1]}: {what}; {stands}."


def _of_arms(one: Found, result: Comparison) -> str:
    if result.estimate is None:
        return f"no {one.kind} of {one.candidate} or the baseline"
    between = f"{figure(_end(result.lower), 'ratio')} to {figure(_end(result.upper), 'ratio')} times the baseline's"
    return f"{share(one.values[1])} {one.kind} of {one.candidate} against {share(one.values[0])}, {between}"


def _of_pairs(one: Found, result: Comparison) -> str:
    return (
        f"{share(one.values[1])} of {result.n:,} pairs failed for {one.candidate} alone, {share(one.values[0])} for the "
        f"baseline alone, a difference of {share(result.lower)} to {share(result.upper)}"
    )


def _of_answers(one: Found, result: Comparison) -> str:
    between = f"a difference of {share(result.lower)} to {share(result.upper)}"
    here, elsewhere = share(one.values[1]), share(one.values[0])
    return f"{one.candidate} differs on {here} of {result.n:,} pairs, elsewhere on {elsewhere}, {between}"


_WORDS: Mapping[str, Callable[[Found, Comparison], str]] = MappingProxyType(
    {
        "failures": _of_arms,
        "wrong predictions": _of_arms,
        "failures on the same requests": _of_pairs,
        DISAGREEMENT: _of_answers,
    }
)


def _end(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None


def _summary(found: list[Found], *, order: list[int], flagged: set[int]) -> str:
    if not found:
        return "No slice is compared."
    few = f"{how_many(len(found), 'comparison')} of slices, false discovery rate {FALSE_DISCOVERIES:.0%}"
    if not flagged:
        return f"No slice stands out ({few}). That does not say that all are alike."
    first = found[order[0]]
    stand = "stands" if len(flagged) == 1 else "stand"
    what = f"{first.named[0]} {first.named[1]} ({first.kind} of {first.candidate}; {few})"
    return f"{len(flagged):,} {stand} out, first {what}."
