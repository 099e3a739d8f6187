"""Do both arms use the labels equally often? Drift of the mix is descriptive: it does not say which mix is right. Pure.

Two designs. Split: each arm's own labels (`label`), chi-square and G for one look, and for any look the arm given each label, whose
evidence adds up over labels. Paired: the margins of the confusion matrix, Stuart-Maxwell and Bowker for one look, bets for any.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence, finite, shared_stages
from modelctl.controlplane.judgement.figures import figure, share
from modelctl.controlplane.report.measure import Measure, measure, source_of
from modelctl.metric import Design
from modelctl.statistics import agreement, arm_given_event, drift, grid_betting
from modelctl.statistics.agreement import ChiSquare
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.drift import Association
from modelctl.statistics.multiplicity import mean_log_e
from modelctl.statistics.tuning import ALPHA, log_threshold

SHOWN = 20
TESTED_LABELS = 300
_OTHER = "…"
_MANY = "an answer may hold several labels, which are not independent: no interval or test holds for them"
_STICKY = "units are kept on their arm, so their answers are not independent: no interval or test of split labels holds"
_SO_MANY = f"more than {TESTED_LABELS} labels are too many to test"


class LabelShare(msgspec.Struct, frozen=True, kw_only=True):
    """One label: how often each arm gave it. `measure` is the change: a ratio (split) or a difference of shares (paired)."""

    label: str
    baseline: int
    candidate: int
    measure: Measure | None


class OneLookTest(msgspec.Struct, frozen=True, kw_only=True):
    """A test valid for one look only. Nothing to test is 0 with p 1."""

    name: str
    statistic: float
    df: int
    p: float


class LabelMix(msgspec.Struct, frozen=True, kw_only=True):
    """`psi` stands beside its value when nothing changed. `estimate` is the total variation: the share of answers that changed
    their label. `largest` is the label that moved most, with its interval; `log10_e` the evidence at any look that the mixes
    differ: of split arms the sum over labels, of pairs the mean of the labels' own. `untested` says why nothing is tested."""

    candidate: str
    design: str
    n: int
    n_baseline: int
    n_candidate: int
    estimate: float
    psi: float | None
    expected_psi: float | None
    jensen_shannon_bits: float | None
    cramers_v: float | None
    log10_e: float | None
    tests: tuple[OneLookTest, ...]
    labels: tuple[LabelShare, ...]
    largest: LabelShare
    source: str
    sentence: str
    untested: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """The counts of the same labels in both arms."""

    candidate: str
    design: Design
    labels: Sequence[str]
    baseline: Sequence[int]
    current: Sequence[int]
    untested: str


def label_mixes(evidence: Evidence) -> tuple[LabelMix, ...]:
    """Of every candidate in every design with labels of both arms; the order is that of the candidates."""
    found = (one for name in evidence.rollout.candidates for one in (_split(evidence, name), _paired(evidence, name)))
    return tuple(one for one in found if one is not None)


def _split(evidence: Evidence, candidate: str) -> LabelMix | None:
    stages = [stage.id for stage, _, _ in shared_stages(evidence, candidate)]
    arms = (evidence.rollout.baseline, candidate)
    a, b = (_total(evidence.sums.counts(arm, "label", stage=stage) for stage in stages) for arm in arms)
    several = any(sum(side.values()) > evidence.sums.n(arm, "requests") for side, arm in ((a, arms[0]), (b, arms[1])))
    untested = _STICKY if evidence.rollout.unit != "request" else _MANY if several else ""
    mix = _mix(candidate, Design.SPLIT, sides=(a, b), untested=untested)
    if mix is None:
        return None
    tested: dict[str, Comparison] = {} if mix.untested else {name: _given(evidence, candidate, label=name) for name in mix.labels}
    association = drift.association(mix.baseline, mix.current)
    tests = () if mix.untested else _chi_squares(association)
    log_e = None if mix.untested else math.fsum(one.log_e for one in tested.values())
    return _written(mix, tested, tests=tests, log_e=log_e, cramers_v=association.cramers_v)


def _given(evidence: Evidence, candidate: str, *, label: str) -> Comparison:
    """Which arm a label fell on: the candidate's share of the traffic at that moment, when nothing changed."""
    sums, events = evidence.sums, []
    for stage, baseline, other in shared_stages(evidence, candidate):
        a, b = (sums.of(arm.backend, "label", stage=stage.id, key=label).n for arm in (baseline, other))
        events.append(EventStage(b, a + b, other.answers / (baseline.answers + other.answers)))
    return arm_given_event.compare(events, alpha=ALPHA)


def _chi_squares(found: Association) -> tuple[OneLookTest, ...]:
    return (
        OneLookTest(name="chi-square", statistic=found.chi2, df=found.df, p=found.chi2_p),
        OneLookTest(name="G", statistic=found.g, df=found.df, p=found.g_p),
    )


def _paired(evidence: Evidence, candidate: str) -> LabelMix | None:
    cells: dict[tuple[str, str], int] = {}
    for key, n in evidence.sums.counts(candidate, "confusion").items():
        a, b = msgspec.json.decode(key, type=tuple[str, str])
        if (a, b) != (_OTHER, _OTHER):
            cells[a, b] = n
    before, after = (Counter[str](), Counter[str]())
    for (a, b), n in cells.items():
        before[a] += n
        after[b] += n
    several = sum(cells.values()) > evidence.sums.n(candidate, "agreement")
    mix = _mix(candidate, Design.PAIRED, sides=(before, after), untested=_MANY if several else "")
    if mix is None:
        return None
    tested = {} if mix.untested else {name: _moved(cells, name, before=before[name], after=after[name]) for name in mix.labels}
    log_e = None if mix.untested else mean_log_e([one.log_e for one in tested.values()])
    return _written(mix, tested, tests=() if mix.untested else _symmetry(cells, mix.labels), log_e=log_e, cramers_v=None)


def _moved(cells: Mapping[tuple[str, str], int], label: str, *, before: int, after: int) -> Comparison:
    """+1 where only the candidate says the label, -1 where only the baseline does."""
    same = cells.get((label, label), 0)
    others = sum(cells.values()) - (before - same) - (after - same)
    return grid_betting.compare(after - same, others, n_neg=before - same, alpha=ALPHA)


def _symmetry(cells: Mapping[tuple[str, str], int], labels: Sequence[str]) -> tuple[OneLookTest, ...]:
    table = [[cells.get((a, b), 0) for b in labels] for a in labels]
    found = {"Stuart-Maxwell": agreement.stuart_maxwell(table), "Bowker": agreement.bowker(table)}
    return tuple(_test(name, one) for name, one in found.items())


def _test(name: str, found: ChiSquare) -> OneLookTest:
    return OneLookTest(name=name, statistic=found.statistic, df=found.df, p=found.p)


def _total(parts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total


def _mix(candidate: str, design: Design, *, sides: tuple[Mapping[str, int], Mapping[str, int]], untested: str) -> Mix | None:
    """None while an arm has no labels. The labels whose share moved most come first."""
    a, b = sides
    n_a, n_b = sum(a.values()), sum(b.values())
    if not (n_a and n_b):
        return None
    labels = sorted({*a, *b}, key=lambda name: (-abs(b.get(name, 0) * n_a - a.get(name, 0) * n_b), name))
    return Mix(
        candidate=candidate,
        design=design,
        labels=labels,
        baseline=[a.get(name, 0) for name in labels],
        current=[b.get(name, 0) for name in labels],
        untested=untested or (_SO_MANY if len(labels) > TESTED_LABELS else ""),
    )


def _written(
    mix: Mix,
    tested: Mapping[str, Comparison],
    *,
    tests: tuple[OneLookTest, ...],
    log_e: float | None,
    cramers_v: float | None,
) -> LabelMix:
    shown = tuple(_label(mix, place, tested=tested) for place in range(min(len(mix.labels), SHOWN)))
    moved = drift.total_variation(mix.baseline, mix.current) or 0.0
    return LabelMix(
        candidate=mix.candidate,
        design=mix.design.value,
        n=sum(mix.current) if mix.design is Design.PAIRED else sum(mix.baseline) + sum(mix.current),
        n_baseline=sum(mix.baseline),
        n_candidate=sum(mix.current),
        estimate=moved,
        psi=drift.psi(mix.baseline, mix.current),
        expected_psi=drift.expected_psi(mix.baseline, mix.current),
        jensen_shannon_bits=drift.jensen_shannon(mix.baseline, mix.current),
        cramers_v=cramers_v,
        log10_e=None if log_e is None else finite(log_e / math.log(10)),
        tests=tests,
        labels=shown,
        largest=shown[0],
        source=source_of("label-mix"),
        sentence=_sentence(mix, shown[0], moved=moved, log_e=log_e),
        untested=mix.untested,
    )


def _label(mix: Mix, place: int, *, tested: Mapping[str, Comparison]) -> LabelShare:
    name = mix.labels[place]
    unit, counts = ("share", "instances") if mix.design is Design.PAIRED else ("ratio", "answers with this label")
    found = measure(tested[name], unit=unit, counts=counts) if name in tested else None
    return LabelShare(label=name, baseline=mix.baseline[place], candidate=mix.current[place], measure=found)


def _sentence(mix: Mix, largest: LabelShare, *, moved: float, log_e: float | None) -> str:
    before, after = (
        share(count / sum(side)) for count, side in ((largest.baseline, mix.baseline), (largest.candidate, mix.current))
    )
    said = (
        f"The mix of labels of {mix.candidate} is {share(moved)} away from the baseline's; most moved {largest.label}, "
        f"{before} to {after}"
    )
    found = largest.measure
    if found is None or log_e is None:
        return f"{said}. {mix.untested[:1].upper()}{mix.untested[1:]}."
    interval = f"{figure(found.lower, found.unit)} to {figure(found.upper, found.unit)}"
    proven = "The mixes are proven to differ" if log_e >= log_threshold(ALPHA) else "That the mixes differ is not proven"
    return f"{said}, {'a ratio' if found.unit == 'ratio' else 'a difference'} of {interval}. {proven}; which is right is not said."
