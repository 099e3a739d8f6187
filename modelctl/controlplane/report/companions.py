"""The ordinary number beside a row: what a fixed-horizon method says of the same sums. It decides nothing. Pure."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from modelctl.controlplane.judgement.companion import Companion
from modelctl.controlplane.judgement.comparison import Evidence, Row, finite
from modelctl.controlplane.judgement.failure_ratio import FAILURE_RATIO
from modelctl.controlplane.judgement.failures import FAILURE_RATE, FAILURES_PAIRED
from modelctl.controlplane.judgement.measured import (
    Question,
    mean_stages,
    pair_counts,
    pair_differences,
    proportion,
    proportion_stages,
)
from modelctl.controlplane.judgement.unit_methods import cluster_stages
from modelctl.controlplane.report.measure import source_of
from modelctl.gate import Gate, GateRole, metric_of, parse_gate
from modelctl.metric import Design, Scale
from modelctl.statistics import clusters, difference
from modelctl.statistics.comparison import State
from modelctl.statistics.difference import MIN_EXPECTED_EVENTS, Proportion
from modelctl.statistics.estimate import Estimate
from modelctl.statistics.fixed_horizon import FixedHorizon, against_0
from modelctl.statistics.means import paired_t, welch
from modelctl.statistics.paired import mcnemar
from modelctl.statistics.proportions import newcombe, pooled_z, wilson
from modelctl.statistics.score_interval import miettinen_nurminen

CONFIDENCE = 0.95
_Z = 1.959963984540054


def companion(evidence: Evidence, row: Row) -> Companion | None:
    """None where no such method answers the row's question, or it has no data."""
    asked = _question(evidence, row)
    if asked is None:
        return None
    if asked.by_unit and (asked.gate.slice is not None or asked.design is Design.LIMIT):
        return None
    method = _by_unit if asked.by_unit else _METHODS.get((asked.metric.scale, asked.design))
    return None if method is None else method(asked)


_SHOWN: Mapping[str, tuple[str, Design]] = MappingProxyType(
    {
        FAILURES_PAIRED: ("error_rate", Design.PAIRED),
        FAILURE_RATIO: ("error_rate", Design.SPLIT),
        FAILURE_RATE: ("error_rate", Design.SPLIT),
        "number_paired": ("prediction", Design.PAIRED),
        "number": ("prediction", Design.SPLIT),
        "agreement": ("agreement", Design.LIMIT),
    }
)
"""Rows without a gate: what they are about."""


def _question(evidence: Evidence, row: Row) -> Question | None:
    if row.gate:
        gate, design = parse_gate(row.gate), Design(row.design)
    elif row.metric in _SHOWN:
        metric, design = _SHOWN[row.metric]
        gate = Gate(metric=metric, role=GateRole.INFO)
    else:
        return None
    metric_ = metric_of(gate, evidence.rollout.fields)
    return Question(evidence=evidence, candidate=row.candidate_name, gate=gate, metric=metric_, design=design)


def _shares(asked: Question) -> Companion | None:
    """Two shares: one stage as it is, several stratified (rows in one heap would take the time of day for an effect)."""
    stages = [one for one in proportion_stages(asked) if one.baseline.n and one.candidate.n]
    if not stages:
        return None
    if len(stages) > 1:
        return _from_estimate(difference.estimate_proportions(stages), method="stratified-z", unit="share")
    a, b = stages[0].baseline, stages[0].candidate
    frequent = (a.k + b.k) / (a.n + b.n) * min(a.n, b.n) >= MIN_EXPECTED_EVENTS
    method, interval = ("newcombe", newcombe) if frequent else ("miettinen-nurminen", miettinen_nurminen)
    found = FixedHorizon(estimate=b.k / b.n - a.k / a.n, n=a.n + b.n, method=method, p=pooled_z(a, b).p)
    return _written(found, unit="share", ends=interval(a, b, confidence=CONFIDENCE))


def _pairs(asked: Question) -> Companion | None:
    """In shares of the pairs, candidate minus baseline: of failures for errors, of right ones for accuracy."""
    worse, same, better = pair_counts(asked)
    gained, lost = (better, worse) if asked.higher_is_better else (worse, better)
    found = mcnemar(same, lost, candidate_only=gained, neither=0)
    if found.delta is None or not found.se:
        # Without a pair that differs its interval is a point, which claims what no data can.
        return None
    ends = (found.delta - _Z * found.se, found.delta + _Z * found.se)
    one = FixedHorizon(estimate=found.delta, n=found.n, method="mcnemar-mid-p", p=found.mid_p)
    return _written(one, unit="share", ends=ends)


def _alone(asked: Question) -> Companion | None:
    arm: Proportion = proportion(asked, asked.candidate)
    if not arm.n:
        return None
    found = FixedHorizon(estimate=arm.k / arm.n, n=arm.n, method="wilson")
    return _written(found, unit="share", ends=wilson(arm, confidence=CONFIDENCE))


def _means(asked: Question) -> Companion | None:
    stages = [one for one in mean_stages(asked) if one.baseline.n and one.candidate.n]
    if len(stages) == 1:
        return _tested(welch(stages[0].baseline, stages[0].candidate, confidence=CONFIDENCE), unit="value")
    return _from_estimate(difference.estimate_means(stages), method="stratified-z", unit="value")


def _differences(asked: Question) -> Companion | None:
    return _tested(paired_t(pair_differences(asked), confidence=CONFIDENCE), unit="value")


def _by_unit(asked: Question) -> Companion | None:
    unit = "share" if asked.metric.scale is Scale.SHARE else "value"
    return _from_estimate(clusters.estimate(cluster_stages(asked), same_units=True), method="unit-z", unit=unit)


def _from_estimate(found: Estimate, *, method: str, unit: str) -> Companion | None:
    if found.state is not State.OK or found.value is None:
        return None
    return _tested(against_0(found.value, found.se, n=found.n, method=method, confidence=CONFIDENCE), unit=unit)


def _tested(found: FixedHorizon, *, unit: str) -> Companion | None:
    return _written(found, unit=unit, ends=(found.lower, found.upper)) if found.state is State.OK else None


def _written(found: FixedHorizon, *, unit: str, ends: tuple[float, float]) -> Companion:
    p = found.p if found.p is not None and math.isfinite(found.p) else None
    return Companion(
        method=found.method,
        unit=unit,
        estimate=found.estimate,
        lower=finite(ends[0]),
        upper=finite(ends[1]),
        p=p,
        n=found.n,
        source=source_of(found.method),
    )


_METHODS: Mapping[tuple[Scale, Design], Callable[[Question], Companion | None]] = MappingProxyType(
    {
        (Scale.SHARE, Design.SPLIT): _shares,
        (Scale.SHARE, Design.PAIRED): _pairs,
        (Scale.SHARE, Design.LIMIT): _alone,
        (Scale.MEAN, Design.SPLIT): _means,
        (Scale.MEAN, Design.PAIRED): _differences,
    }
)
