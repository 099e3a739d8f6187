"""The report people decide by, as frozen values: everything it shows, and the sums to recompute it from. Pure.

Read from rollups only, except the worst disagreements and the audit trail.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Evidence, Row
from modelctl.controlplane.judgement.funnel import Funnel, funnels_of
from modelctl.controlplane.judgement.judging import Judgement, judge_compared
from modelctl.controlplane.judgement.trust import compare_split, notes
from modelctl.controlplane.report.details import Details, details, explained
from modelctl.controlplane.report.differences import DifferenceSample, difference_sample
from modelctl.controlplane.report.disagreement import Disagreement
from modelctl.controlplane.report.examples import SliceExamples
from modelctl.controlplane.report.latency_curves import LatencyCurve, latency_curves
from modelctl.controlplane.report.over_time import Opened, OverTime, opened, over_time, without_path
from modelctl.controlplane.report.reproduction import Reproduction, reproduction
from modelctl.controlplane.report.shapes import (
    Accuracy,
    Confusion,
    Latency,
    Numbers,
    Outcomes,
    accuracies,
    confusion,
    latencies,
    numbers,
    outcomes,
)
from modelctl.controlplane.report.slices import Slices
from modelctl.controlplane.report.standing_out import StandingOut, standing_out
from modelctl.rollout import Stage
from modelctl.statistics.sample_ratio import SampleRatio
from modelctl.store.catalog import Event
from modelctl.store.slots import Slot
from modelctl.store.summing import Sum
from modelctl.traffic import Role

VERSION = 1
STICKY_NOTE = (
    "Requests of one unit stay on one arm and come together, so units are what is counted where traffic is split: "
    "each unit's first failure, sums over units, and the split of units. Pairs count requests."
)


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """The rollout a report is about. Times are Unix milliseconds; `closed_at` is 0 while it is open."""

    id: int
    strategy: str
    phase: str
    baseline: str
    candidates: tuple[str, ...]
    step: int
    steps: tuple[str, ...]
    winner: str
    opened_at: int
    closed_at: int
    actor: str
    reason: str


class ArmSplit(msgspec.Struct, frozen=True, kw_only=True):
    """Requests one arm answered, and how many its shares asked for."""

    arm: str
    observed: int
    expected: float


class StageLine(msgspec.Struct, frozen=True, kw_only=True):
    """A period with constant shares (basis points), and the requests each arm answered in it. Times are Unix milliseconds."""

    id: int
    opened_at: int
    closed_at: int
    answers: dict[str, int]
    shown: dict[str, int]
    requests: dict[str, int]


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the data may be used. `log10_e` of 3 or more blocks; None is infinite. `notes` are sentences about its limits."""

    log10_e: float | None
    blocked: bool
    arms: tuple[ArmSplit, ...]
    stages: tuple[StageLine, ...]
    notes: tuple[str, ...] = ()


class Aggregates(msgspec.Struct, frozen=True, kw_only=True):
    """What every figure was computed from: sums by stage, arm, metric and key, and what was taken off before summing."""

    sums: tuple[Sum, ...]
    pivots: dict[str, float]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """From top to bottom as it is read. Times named `*_at` are Unix microseconds unless said."""

    report_version: int = VERSION
    route: str
    generated_at: int
    evidence_at: int | None
    rollout: Attempt
    verdict: Judgement
    trust: Trust
    funnels: tuple[Funnel, ...]
    rows: tuple[Row, ...]
    confusions: tuple[Confusion, ...]
    numbers: tuple[Numbers, ...]
    latencies: tuple[Latency, ...]
    outcomes: tuple[Outcomes, ...]
    feedback: tuple[Accuracy, ...]
    worst: tuple[Disagreement, ...]
    audit: tuple[Event, ...]
    aggregates: Aggregates
    details: Details = Details()
    standing_out: StandingOut = StandingOut(sentence="")
    over_time: tuple[OverTime, ...] = ()
    without_path: str = ""
    stages_opened: tuple[Opened, ...] = ()
    curves: tuple[LatencyCurve, ...] = ()
    differences: tuple[DifferenceSample, ...] = ()
    examples: tuple[SliceExamples, ...] = ()
    reproduction: Reproduction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was read for a report. `rows` are the sums that `evidence` indexes; `newest` is the last minute with evidence; `numbers`
    are of the newest pairs, by candidate; `without_path` are the metrics whose minutes were too many to read."""

    evidence: Evidence
    rows: tuple[Sum, ...]
    newest: int | None
    worst: tuple[Disagreement, ...] = ()
    audit: tuple[Event, ...] = ()
    cut: Slices | None = None
    slots: tuple[Slot, ...] = ()
    without_path: frozenset[str] = frozenset()
    examples: tuple[SliceExamples, ...] = ()
    numbers: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)


class Short(msgspec.Struct, frozen=True, kw_only=True):
    """What a status shows of the evidence."""

    verdict: Judgement
    funnels: tuple[Funnel, ...]
    rows: tuple[Row, ...]


def summarise(evidence: Evidence, *, at: int) -> Short:
    """The verdict at Unix millisecond `at`, with the funnels and comparisons it comes from."""
    compared, funnels = compare(evidence, at=at), funnels_of(evidence)
    verdict = judge_compared(evidence, compared, at=at, funnels=funnels)
    return Short(verdict=verdict, funnels=funnels, rows=tuple(one.row for one in compared))


def write_report(found: Findings, *, at: int) -> Report:
    """The whole report, as of Unix microsecond `at`."""
    evidence = found.evidence
    compared, split, funnels = compare(evidence, at=at // 1000), compare_split(evidence), funnels_of(evidence)
    sticky = evidence.rollout.unit != "request"
    candidates = evidence.rollout.candidates
    return Report(
        route=evidence.rollout.route,
        generated_at=at,
        evidence_at=None if found.newest is None else min((found.newest + 1) * 60_000_000, at),
        rollout=_attempt(evidence),
        verdict=judge_compared(evidence, compared, at=at // 1000, funnels=funnels),
        trust=_trust(evidence, split, sticky=sticky),
        funnels=funnels,
        rows=explained(evidence, compared),
        confusions=tuple(one for one in (confusion(evidence.sums, name) for name in candidates) if one is not None),
        numbers=tuple(one for one in (numbers(evidence, name) for name in candidates) if one is not None),
        latencies=latencies(evidence),
        outcomes=outcomes(evidence),
        feedback=accuracies(evidence),
        worst=found.worst,
        audit=found.audit,
        aggregates=Aggregates(sums=found.rows, pivots=evidence.pivots),
        details=details(evidence, cut=found.cut),
        standing_out=standing_out(found.cut, found.examples, rollout=evidence.rollout),
        over_time=over_time(evidence, found.slots),
        without_path=without_path(found.without_path),
        stages_opened=opened(evidence.stages),
        curves=latency_curves(evidence),
        differences=_differences(found),
        examples=found.examples,
        reproduction=reproduction(evidence),
    )


def _differences(found: Findings) -> tuple[DifferenceSample, ...]:
    samples = (difference_sample(name, found.numbers.get(name, ())) for name in found.evidence.rollout.candidates)
    return tuple(one for one in samples if one is not None)


def _attempt(evidence: Evidence) -> Attempt:
    rollout = evidence.rollout
    return Attempt(
        id=rollout.id,
        strategy=rollout.strategy,
        phase=rollout.phase.value,
        baseline=rollout.baseline,
        candidates=rollout.candidates,
        step=rollout.step,
        steps=tuple(step.title for step in rollout.steps),
        winner=rollout.winner,
        opened_at=rollout.opened_at,
        closed_at=rollout.closed_at,
        actor=rollout.actor,
        reason=rollout.reason,
    )


def _trust(evidence: Evidence, split: SampleRatio, *, sticky: bool) -> Trust:
    arms = (evidence.rollout.baseline, *evidence.rollout.candidates)
    counted = zip(arms, split.observed, split.expected, strict=False)
    return Trust(
        log10_e=split.log_e / math.log(10) if math.isfinite(split.log_e) else None,
        blocked=split.blocked,
        arms=tuple(ArmSplit(arm=arm, observed=observed, expected=expected) for arm, observed, expected in counted),
        stages=tuple(_stage(evidence, stage, arms=arms) for stage in evidence.stages),
        notes=(*((STICKY_NOTE,) if sticky else ()), *notes(evidence)),
    )


def _stage(evidence: Evidence, stage: Stage, *, arms: Sequence[str]) -> StageLine:
    return StageLine(
        id=stage.id,
        opened_at=stage.opened_at,
        closed_at=stage.closed_at,
        answers={arm.backend: arm.answers for arm in stage.arms if arm.role is not Role.NOISE},
        shown={arm.backend: arm.shown for arm in stage.arms if arm.role is not Role.NOISE},
        requests={arm: evidence.sums.n(arm, "requests", stage=stage.id) for arm in arms},
    )
