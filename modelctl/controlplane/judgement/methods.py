"""Which method answers a gate: one table from scale, design and kind of margin to a function. Pure.

Each function gives a comparison at one error level whose harm (`Comparison.harm`) is in the unit of the gate's margin. For a
limit, whose null is then 0 (or 1), harm is the candidate's own rate.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from modelctl.controlplane.judgement.engines import interval
from modelctl.controlplane.judgement.measured import (
    Question,
    degrees,
    mean,
    mean_stages,
    pair_counts,
    pair_differences,
    proportion,
    proportion_stages,
    shares,
    spread_tau,
)
from modelctl.gate import GateRole
from modelctl.metric import Design, Scale
from modelctl.statistics import arm_given_event, coin, difference, difference_exact, grid_betting, relative
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.difference import MeanStage
from modelctl.statistics.moments import Moments, merge_all
from modelctl.statistics.tuning import limit_concentration

Method = Callable[[Question, float], Comparison]


def share_difference(asked: Question, alpha: float) -> Comparison:
    """The stage-stratified difference; the exact box while events are too few for it."""
    stages, effect = proportion_stages(asked), asked.effect or math.nan
    estimate = difference.estimate_proportions(stages)
    if estimate.state is not State.OK:
        return difference_exact.compare(stages, alpha=alpha)
    return interval(asked.evidence, estimate, tau=effect, alpha=alpha)


def share_ratio(asked: Question, alpha: float) -> Comparison:
    """Of the arm given an event: the ratio of the candidate's rate to the baseline's, against 1."""
    parts = zip(proportion_stages(asked), shares(asked), strict=True)
    events = [EventStage(stage.candidate.k, stage.candidate.k + stage.baseline.k, share) for stage, share in parts]
    return arm_given_event.compare(events, alpha=alpha)


def share_against_limit(asked: Question, alpha: float) -> Comparison:
    """The candidate's own rate, from every stage in which it answered (or, for what is of pairs, was shown)."""
    limit, (k, n) = asked.gate.limit or 0.5, degrees(asked, asked.candidate)
    result = coin.compare(k, n, null=limit, alpha=alpha, kappa=limit_concentration(min(limit, 1 - limit)))
    return replace(result, null=1.0 if asked.higher_is_better else 0.0)


def pair_shares(asked: Question, alpha: float) -> Comparison:
    """Bets on pairs of which one is right."""
    worse, same, better = pair_counts(asked)
    gained, lost = (better, worse) if asked.higher_is_better else (worse, better)
    return grid_betting.compare(gained, same, n_neg=lost, alpha=alpha)


def pair_shares_relative(asked: Question, alpha: float) -> Comparison:
    """The same as a share of the baseline's own rate, each at half the level."""
    arm = proportion(asked, asked.evidence.rollout.baseline)
    low, high = coin.interval(arm.k, arm.n, alpha=alpha / 2)
    return relative.by_box(pair_shares(asked, alpha / 2), baseline=(low, arm.k / arm.n if arm.n else 0.0, high))


def mean_difference(asked: Question, alpha: float) -> Comparison:
    """The stage-stratified difference of means."""
    stages = mean_stages(asked)
    tau = mean_tau(asked, _spread(stages))
    return interval(asked.evidence, difference.estimate_means(stages), tau=tau, alpha=alpha)


def mean_change(asked: Question, alpha: float) -> Comparison:
    """The relative change of a mean by linear contrasts."""
    stages = mean_stages(asked)
    tau = mean_tau(asked, _spread(stages))

    def contrast(factor: float) -> Comparison:
        scaled = [MeanStage(_scaled(stage.baseline, factor), stage.candidate) for stage in stages]
        return interval(asked.evidence, difference.estimate_means(scaled), tau=tau, alpha=alpha)

    baseline = merge_all(stage.baseline for stage in stages)
    return relative.by_contrast(contrast, baseline=baseline.mean, ends=change_ends(asked))


def pair_means(asked: Question, alpha: float) -> Comparison:
    """The mean of candidate minus baseline over the pairs."""
    differences = pair_differences(asked)
    estimate = difference.estimate_paired(differences)
    return interval(asked.evidence, estimate, tau=asked.effect or spread_tau(differences), alpha=alpha)


def pair_means_relative(asked: Question, alpha: float) -> Comparison:
    """The same as a share of the baseline's own mean, each at half the level."""
    baseline = mean(asked, asked.evidence.rollout.baseline)
    own, pairs = (
        interval(asked.evidence, difference.estimate_paired(values), tau=spread_tau(values), alpha=alpha / 2)
        for values in (baseline, pair_differences(asked))
    )
    return relative.by_box(pairs, baseline=(own.lower, baseline.mean, own.upper))


METHODS: Mapping[tuple[Scale, Design, bool], Method] = MappingProxyType(
    {
        (Scale.SHARE, Design.SPLIT, False): share_difference,
        (Scale.SHARE, Design.SPLIT, True): share_ratio,
        (Scale.SHARE, Design.PAIRED, False): pair_shares,
        (Scale.SHARE, Design.PAIRED, True): pair_shares_relative,
        (Scale.SHARE, Design.LIMIT, False): share_against_limit,
        (Scale.MEAN, Design.SPLIT, False): mean_difference,
        (Scale.MEAN, Design.SPLIT, True): mean_change,
        (Scale.MEAN, Design.PAIRED, False): pair_means,
        (Scale.MEAN, Design.PAIRED, True): pair_means_relative,
    }
)
"""By scale, design, and whether the margin is relative."""


def mean_tau(asked: Question, spread: float) -> float:
    """The declared effect; of a relative margin its share of the pivot, which is the first value; else by the data's spread."""
    if asked.effect is not None and not asked.relative:
        return asked.effect
    return asked.margin * abs(asked.pivot) if asked.relative and asked.pivot else spread


def _spread(stages: list[MeanStage]) -> float:
    return spread_tau(merge_all(arm for stage in stages for arm in (stage.baseline, stage.candidate)))


def change_ends(asked: Question) -> tuple[float, float]:
    """The relative changes that the lower and the upper end of an interval decide about.

    A success metric's safe end is compared with 0, every other end with the margin on its side.
    """
    margin = asked.margin
    if asked.gate.role is GateRole.EQUIVALENCE:
        return -margin, margin
    harmful = -margin if asked.higher_is_better else margin
    safe = 0.0 if asked.gate.role is GateRole.SUCCESS else harmful
    return (safe, harmful) if asked.higher_is_better else (harmful, safe)


def _scaled(values: Moments, factor: float) -> Moments:
    return Moments(values.n, values.mean * factor, values.m2 * factor * factor)
