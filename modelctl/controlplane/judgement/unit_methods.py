"""The methods for split traffic whose units are sticky: what was assigned is the unit, so units are counted, not requests. Pure.

An event counts once for each unit, where the unit met it first; differences and means are ratios of sums over units, whose variance
is the delta method's. Rows that are taken for independent there give false verdicts in a third of all runs.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from modelctl.controlplane.judgement.comparison import shared_stages
from modelctl.controlplane.judgement.engines import interval
from modelctl.controlplane.judgement.measured import Question, mean_spread, shares
from modelctl.controlplane.judgement.methods import METHODS, Method, change_ends, mean_tau
from modelctl.metric import Design, Scale
from modelctl.statistics import arm_given_event, clusters, coin, difference_exact, relative
from modelctl.statistics.arm_given_event import EventStage
from modelctl.statistics.clusters import Clusters, ClusterStage
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.difference import Proportion, ProportionStage
from modelctl.statistics.tuning import limit_concentration

FIRST_EVENTS = frozenset({"error_rate", "timeout_rate", "slow_rate"})
"""Metrics whose first event of each unit is kept."""


def unit_difference(asked: Question, alpha: float) -> Comparison:
    """The stage-stratified difference of two ratios over units."""
    stages = cluster_stages(asked)
    if asked.metric.scale is Scale.SHARE and (spared := _untouched(stages)):
        return difference_exact.compare(spared, alpha=alpha)
    return interval(asked.evidence, clusters.estimate(stages, same_units=True), tau=_tau(asked, stages), alpha=alpha)


def unit_change(asked: Question, alpha: float) -> Comparison:
    """The relative change: of the arm given a unit's first event where that is kept, else by linear contrasts of ratios."""
    if asked.metric.name in FIRST_EVENTS:
        return first_event_ratio(asked, alpha)
    stages = cluster_stages(asked)
    tau = _tau(asked, stages)

    def contrast(factor: float) -> Comparison:
        scaled = [ClusterStage(clusters.scaled(stage.baseline, factor), stage.candidate) for stage in stages]
        return interval(asked.evidence, clusters.estimate(scaled, same_units=True), tau=tau, alpha=alpha)

    baseline = [stage.baseline for stage in stages if stage.baseline.units]
    rows = sum(arm.n for arm in baseline)
    mean = sum((arm.ratio or 0.0) * arm.n for arm in baseline) / rows if rows else 0.0
    return relative.by_contrast(contrast, baseline=mean, ends=change_ends(asked))


def first_event_ratio(asked: Question, alpha: float) -> Comparison:
    """Of the arm given a unit's first event in the rollout: the ratio of the candidate's rate to the baseline's."""
    sums, name = asked.evidence.sums, f"first_{asked.rollup}"
    baseline, stages = asked.evidence.rollout.baseline, shared_stages(asked.evidence, asked.candidate)
    events = []
    for (stage, _, _), share in zip(stages, shares(asked), strict=True):
        a, b = (sums.n(arm, name, stage=stage.id) for arm in (baseline, asked.candidate))
        events.append(EventStage(b, a + b, share))
    return arm_given_event.compare(events, alpha=alpha)


def unit_against_limit(asked: Question, alpha: float) -> Comparison:
    """The candidate's own rate over its units, in all stages."""
    if asked.metric.is_of_pairs:
        return METHODS[Scale.SHARE, Design.LIMIT, False](asked, alpha)
    limit = asked.gate.limit or 0.5
    stages = [units_of(asked, asked.candidate, stage=stage.id) for stage in asked.evidence.stages]
    if not asked.higher_is_better and not any(stage.s for stage in stages):
        return _spared_against_limit(max((stage.units for stage in stages), default=0), limit=limit, alpha=alpha)
    found = interval(asked.evidence, clusters.estimate_one_arm(stages), tau=min(limit, 1 - limit), alpha=alpha)
    return replace(found, null=1.0 if asked.higher_is_better else 0.0)


def _spared_against_limit(units: int, *, limit: float, alpha: float) -> Comparison:
    """No unit of the largest stage had the event: a coin of units."""
    return replace(coin.compare(0, units, null=limit, alpha=alpha, kappa=limit_concentration(limit)), null=0.0)


STICKY_METHODS: Mapping[tuple[Scale, Design, bool], Method] = MappingProxyType(
    {
        **METHODS,
        (Scale.SHARE, Design.SPLIT, False): unit_difference,
        (Scale.SHARE, Design.SPLIT, True): unit_change,
        (Scale.SHARE, Design.LIMIT, False): unit_against_limit,
        (Scale.MEAN, Design.SPLIT, False): unit_difference,
        (Scale.MEAN, Design.SPLIT, True): unit_change,
    }
)
"""By scale, design, and whether the margin is relative."""


def method_for(asked: Question) -> Method:
    """The function for this question."""
    if asked.by_unit and asked.gate.slice is not None:
        return _not_kept
    table = STICKY_METHODS if asked.sticky else METHODS
    return table[asked.metric.scale, asked.design, asked.relative]


def cluster_stages(asked: Question) -> list[ClusterStage]:
    """Both arms' sums over units, for every stage in which both answered a share."""
    baseline, candidate = asked.evidence.rollout.baseline, asked.candidate
    return [
        ClusterStage(units_of(asked, baseline, stage=stage.id), units_of(asked, candidate, stage=stage.id))
        for stage, _, _ in shared_stages(asked.evidence, candidate)
    ]


def units_of(asked: Question, arm: str, *, stage: int) -> Clusters:
    """One arm's sums over units."""
    sums, name = asked.evidence.sums, f"unit:{asked.rollup}"
    found, size = sums.of(arm, name, stage=stage), sums.of(arm, name, stage=stage, key="size")
    if not found.n:
        return Clusters(pivot=asked.pivot)
    return Clusters(units=found.n, s=found.s1, n=float(found.k), ss=found.s2, nn=size.s2, sn=found.sp, pivot=asked.pivot)


def _tau(asked: Question, stages: list[ClusterStage]) -> float:
    """What the interval is tuned for: what is declared, else the spread between units."""
    arms = [arm for stage in stages for arm in (stage.baseline, stage.candidate) if arm.variance]
    spread = max((arm.variance or 0.0 for arm in arms), default=0.0)
    return mean_tau(asked, mean_spread(spread))


def _untouched(stages: list[ClusterStage]) -> list[ProportionStage]:
    """The stages as counts of units without an event; nothing as soon as any unit has had one.

    Without an event there is no spread to build an interval from, but units that were all spared do exclude a higher rate: exact
    for the share of units, and for the share of requests as far as heavy units fail no more often than others.
    """
    if any(arm.s for stage in stages for arm in (stage.baseline, stage.candidate)):
        return []
    return [ProportionStage(Proportion(stage.baseline.units, 0), Proportion(stage.candidate.units, 0)) for stage in stages]


def _not_kept(asked: Question, alpha: float) -> Comparison:
    return Comparison(
        estimate=None,
        n=0,
        method="none",
        alpha=alpha,
        state=State.NO_DATA,
        reason="slices are not kept by unit, and this route's units are sticky",
    )
