"""From rollups to comparisons of each candidate with the baseline: one row for a metric and method. Pure.

Failure rates are guarded: proven worse than zero harm, they ask for a rollback. Which of them can exist follows from the
rollout's ladder, so the error level ALPHA is divided before the first observation. Everything else is shown and decides nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from modelctl import traffic
from modelctl.controlplane.sums import Sums, moments
from modelctl.rollout import Rollout, Stage, Step
from modelctl.statistics import arm_given_event, coin, difference, grid_betting, sample_ratio
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.difference import MeanStage, Proportion, ProportionStage
from modelctl.statistics.moments import Moments, merge_all
from modelctl.statistics.sample_ratio import SampleRatio, ShareStage
from modelctl.statistics.tuning import ALPHA, mixing_sd_at, split_alpha
from modelctl.statistics.verdict import Criterion, Role, criterion
from modelctl.traffic import ALL, Arm

EFFECT = 0.005
"""The difference of failure rates that intervals are tuned for: half a point. It moves widths a little, never the error level."""

TUNED_UNITS = 1_000
"""Intervals of means are tightest at this many units. They are tuned on the scale of the data's own spread (2103.06476)."""

FAILURES_PAIRED = "failures_paired"
FAILURE_RATIO = "failure_ratio"
FAILURE_RATE = "failure_rate"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the decision table.

    `baseline`, `candidate`, and `estimate` with `lower` and `upper` are in `unit`: share (1 is all), ratio, or value. A bound
    that is None is infinite. `estimate` is candidate minus baseline, for a ratio candidate over baseline; `null` is no difference.
    `finding` is worse, better, open, no-data, or shown for what decides nothing; `reason` says why there is no interval.
    """

    candidate_name: str
    metric: str
    title: str
    role: str
    unit: str
    baseline: float | None
    candidate: float | None
    estimate: float | None
    lower: float | None
    upper: float | None
    null: float | None
    n: int
    counts: str
    method: str
    alpha: float
    log10_e: float | None
    state: str
    finding: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a rollout's comparisons are made of."""

    rollout: Rollout
    stages: tuple[Stage, ...]
    sums: Sums
    pivots: dict[str, float]


@dataclass(frozen=True, slots=True)
class Compared:
    """A row, and what it means for the verdict; None when it decides nothing."""

    row: Row
    criterion: Criterion | None = None


def compare(evidence: Evidence) -> tuple[Compared, ...]:
    """Every row of every candidate, the guarded ones first."""
    levels = alphas(evidence.rollout)
    found: list[Compared] = []
    for candidate in evidence.rollout.candidates:
        guarded = {name: alpha for (other, name), alpha in levels.items() if other == candidate}
        if FAILURES_PAIRED in guarded:
            found.append(_failures_paired(evidence, candidate, alpha=guarded[FAILURES_PAIRED]))
        if FAILURE_RATIO in guarded:
            found.append(_failure_ratio(evidence, candidate, alpha=guarded[FAILURE_RATIO]))
            found.append(_failure_rate(evidence, candidate, alpha=guarded[FAILURE_RATE]))
        shown = (_agreement(evidence, candidate), _paired_mean(evidence, candidate), _unpaired_mean(evidence, candidate))
        found += [Compared(row) for row in shown if row is not None]
    return tuple(found)


def alphas(rollout: Rollout) -> dict[tuple[str, str], float]:
    """The error level of each guarded comparison, by candidate and metric: ALPHA in equal parts, fixed by the ladder."""
    names: list[tuple[str, str]] = []
    for candidate in rollout.candidates:
        if any(_paired(step, candidate) for step in rollout.steps):
            names.append((candidate, FAILURES_PAIRED))
        if any(_split(step, candidate) for step in rollout.steps):
            names += [(candidate, FAILURE_RATIO), (candidate, FAILURE_RATE)]
    weights = {"/".join(name): 1.0 for name in names}
    levels = split_alpha(ALPHA, weights) if weights else {}
    return {name: levels["/".join(name)] for name in names}


def compare_split(evidence: Evidence) -> SampleRatio:
    """Whether the arms answered the shares they were assigned, stage by stage."""
    arms = (evidence.rollout.baseline, *evidence.rollout.candidates)
    stages = []
    for stage in evidence.stages:
        answers = {arm.backend: arm.answers for arm in stage.arms}
        counts = tuple(evidence.sums.n(arm, "units", stage=stage.id) for arm in arms)
        stages.append(ShareStage(counts, tuple(answers.get(arm, 0) / ALL for arm in arms)))
    return sample_ratio.compare(stages)


def _paired(step: Step, candidate: str) -> bool:
    return any(arm.backend == candidate and arm.shown for arm in step.arms) and _baseline_answers(step.arms) > 0


def _split(step: Step, candidate: str) -> bool:
    return any(arm.backend == candidate and arm.answers for arm in step.arms) and _baseline_answers(step.arms) > 0


def _baseline_answers(arms: Sequence[Arm]) -> int:
    return sum(arm.answers for arm in arms if arm.role is traffic.Role.BASELINE)


def _failures_paired(evidence: Evidence, candidate: str, *, alpha: float) -> Compared:
    counts = evidence.sums.counts(candidate, "pair_error")
    candidate_only, baseline_only, same = (counts.get(key, 0) for key in ("-", "+", "0"))
    n = candidate_only + baseline_only + same
    # Harm is 1 when only the candidate failed, so the bets are on its failures.
    result = grid_betting.compare(candidate_only, same, n_neg=baseline_only, alpha=alpha)
    row = _row(
        result,
        names=(candidate, FAILURES_PAIRED, "failures on the same requests (only this one failed)", "share", "pairs"),
        values=(baseline_only / n if n else None, candidate_only / n if n else None),
    )
    return _guarded(row, result)


def _failure_ratio(evidence: Evidence, candidate: str, *, alpha: float) -> Compared:
    stages, events = [], []
    for stage, baseline, other in _shared_stages(evidence, candidate):
        a, b = _failures(evidence, baseline.backend, stage=stage.id), _failures(evidence, candidate, stage=stage.id)
        stages.append(ProportionStage(a, b))
        events.append(EventStage(b.k, a.k + b.k, other.answers / (baseline.answers + other.answers)))
    result = arm_given_event.compare(events, alpha=alpha)
    names = (candidate, FAILURE_RATIO, "failure rate, ratio", "ratio", "failures")
    return _guarded(_row(result, names=names, values=_rates(stages)), result)


def _failure_rate(evidence: Evidence, candidate: str, *, alpha: float) -> Compared:
    stages = [
        ProportionStage(_failures(evidence, baseline.backend, stage=stage.id), _failures(evidence, candidate, stage=stage.id))
        for stage, baseline, _ in _shared_stages(evidence, candidate)
    ]
    result = difference.compare_proportions(stages, tau=EFFECT, alpha=alpha)
    names = (candidate, FAILURE_RATE, "failure rate, difference", "share", "requests")
    return _guarded(_row(result, names=names, values=_rates(stages)), result)


def _agreement(evidence: Evidence, candidate: str) -> Row | None:
    counts = evidence.sums.counts(candidate, "agreement")
    equal, n = counts.get("equal", 0), sum(counts.values())
    if not n:
        return None
    lower, upper = coin.interval(equal, n, alpha=ALPHA)
    result = Comparison(estimate=equal / n, lower=lower, upper=upper, n=n, method="coin", alpha=ALPHA)
    names = (candidate, "agreement", "same prediction on the same request", "share", "pairs")
    row = _row(result, names=names, values=(None, None))
    return msgspec.structs.replace(row, null=None, log10_e=None)


def _paired_mean(evidence: Evidence, candidate: str) -> Row | None:
    differences = moments(evidence.sums.over_stages(candidate, "difference"))
    if not differences.n:
        return None
    tau = _tau(differences)
    result = difference.compare_paired(differences, tau=tau, alpha=ALPHA)
    names = (candidate, "number_paired", "predicted number on the same requests", "value", "pairs")
    return _row(result, names=names, values=pair_means(evidence, candidate))


def pair_means(evidence: Evidence, candidate: str) -> tuple[float | None, float | None]:
    """The mean number of either side over the pairs."""
    pivot = evidence.pivots.get("pair_number", 0.0)
    sides = (
        moments(evidence.sums.over_stages(candidate, "pair_number", key=key), pivot=pivot) for key in ("baseline", "candidate")
    )
    a, b = (side.mean if side.n else None for side in sides)
    return a, b


def _unpaired_mean(evidence: Evidence, candidate: str) -> Row | None:
    pivot = evidence.pivots.get("number", 0.0)
    stages = [
        MeanStage(
            moments(evidence.sums.of(baseline.backend, "number", stage=stage.id), pivot=pivot),
            moments(evidence.sums.of(candidate, "number", stage=stage.id), pivot=pivot),
        )
        for stage, baseline, _ in _shared_stages(evidence, candidate)
    ]
    a, b = merge_all(stage.baseline for stage in stages), merge_all(stage.candidate for stage in stages)
    if not a.n and not b.n:
        return None
    result = difference.compare_means(stages, tau=_tau(merge_all((a, b))), alpha=ALPHA)
    names = (candidate, "number", "predicted number, mean", "value", "requests")
    return _row(result, names=names, values=(a.mean if a.n else None, b.mean if b.n else None))


def _tau(values: Moments) -> float:
    spread = math.sqrt(values.variance or 0.0)
    # Without spread there is no interval either, whatever tau is.
    return mixing_sd_at(spread / math.sqrt(TUNED_UNITS)) if spread > 0 else 1.0


def _shared_stages(evidence: Evidence, candidate: str) -> list[tuple[Stage, Arm, Arm]]:
    """The stages in which both arms answered a share, with the baseline's arm and the candidate's."""
    found = []
    for stage in evidence.stages:
        arms = {arm.backend: arm for arm in stage.arms if arm.answers}
        if evidence.rollout.baseline in arms and candidate in arms:
            found.append((stage, arms[evidence.rollout.baseline], arms[candidate]))
    return found


def _failures(evidence: Evidence, arm: str, *, stage: int) -> Proportion:
    found = evidence.sums.of(arm, "error", stage=stage)
    return Proportion(found.n, found.k)


def _rates(stages: Sequence[ProportionStage]) -> tuple[float | None, float | None]:
    a, b = [stage.baseline for stage in stages], [stage.candidate for stage in stages]
    n_a, n_b = sum(arm.n for arm in a), sum(arm.n for arm in b)
    return sum(arm.k for arm in a) / n_a if n_a else None, sum(arm.k for arm in b) / n_b if n_b else None


def _guarded(row: Row, result: Comparison) -> Compared:
    name = f"{row.candidate_name}: {row.title}"
    found = criterion(name, Role.GUARDRAIL, margin=0.0, higher_is_better=False, for_rollback=result, for_promote=result)
    finding = {"no data": "no-data", "inconclusive": "open"}.get(found.finding.value, found.finding.value)
    return Compared(msgspec.structs.replace(row, role="guarded", finding=finding), found)


def _row(result: Comparison, *, names: tuple[str, str, str, str, str], values: tuple[float | None, float | None]) -> Row:
    candidate, metric, title, unit, counts = names
    return Row(
        candidate_name=candidate,
        metric=metric,
        title=title,
        role="info",
        unit=unit,
        baseline=values[0],
        candidate=values[1],
        estimate=_finite(result.estimate),
        lower=_finite(result.lower),
        upper=_finite(result.upper),
        null=result.null,
        n=result.n,
        counts=counts,
        method=result.method,
        alpha=result.alpha,
        log10_e=result.log_e / math.log(10),
        state=result.state.value,
        finding="shown" if result.state is State.OK else "no-data",
        reason=result.reason,
    )


def _finite(number: float | None) -> float | None:
    return number if number is not None and math.isfinite(number) else None
