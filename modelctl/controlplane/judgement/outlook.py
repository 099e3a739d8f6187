"""How long until a gate can decide, from what was seen so far: more requests, the time they take, and the fastest lever. Pure.

It assumes that the candidate is truly as good as the baseline (for a success metric, better by its `mde`), and that shares, rates
and spreads stay as they are. Formulas: `statistics.forecast`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from modelctl.conduct import Engine
from modelctl.controlplane.judgement.comparison import shared_stages
from modelctl.controlplane.judgement.figures import duration, share
from modelctl.controlplane.judgement.measured import (
    Question,
    mean,
    mean_stages,
    pair_counts,
    pair_differences,
    proportion,
    proportion_stages,
)
from modelctl.errors import InvalidInput
from modelctl.gate import GateRole
from modelctl.metric import Design, Scale
from modelctl.rollout import Stage
from modelctl.statistics import forecast
from modelctl.statistics.designs import Limit, Means, PairedMeans, PairedOutcomes, Proportions, Rates
from modelctl.statistics.forecast import AnyDesign
from modelctl.statistics.moments import Moments, merge_all
from modelctl.statistics.sample_size import Target
from modelctl.traffic import ALL

NEW_UNITS = "No forecast: units are counted, and how many new ones will come does not follow from the rate of requests."
"""Of sticky units: requests of those that were seen already prove little more."""


def outlook(asked: Question, seen: int, *, alpha: float, at: int) -> str:
    """One sentence about a gate that is open after `seen` units, at Unix millisecond `at`; empty where none is made."""
    stage = next((stage for stage in reversed(asked.evidence.stages) if not stage.closed_at), None)
    rate = _requests_per_second(asked, stage, at=at) if stage is not None else 0.0
    watched = asked.evidence.rollout.conduct.engine is Engine.ANYTIME
    if stage is None or not rate or not watched or asked.gate.slice is not None:
        return ""
    if asked.by_unit:
        return NEW_UNITS
    try:
        design = _DESIGNS[asked.metric.scale, asked.design](asked, _share(asked, stage))
        if isinstance(design, Limit) and asked.design is Design.SPLIT:
            # The exact box: what counts is the candidate's own part, at a quarter of the level.
            seen, alpha = round(seen * design.share), alpha / 4
        return "" if design is None else _said(design, seen, target=Target(alpha=alpha), rate=rate)
    except InvalidInput:
        # No distance to show: there is nothing to plan for.
        return ""


def _said(design: AnyDesign, seen: int, *, target: Target, rate: float) -> str:
    now = forecast.forecast(design, target)
    left = (now.n80 - seen) / now.per_request if now.per_request else 0.0
    if left <= 0:
        return "It has seen what usually decides, so the effect may lie near the margin."
    sooner = forecast.faster(design, target)
    lever = ""
    if sooner is not None and sooner.per_request:
        faster = max(sooner.n80 - seen, 0.0) / sooner.per_request
        lever = f"; {_time(faster / rate)} if its share goes from {share(now.share)} to {share(sooner.share)}"
    return f"About {_rounded(left):,} more requests ({_time(left / rate)} at {rate:.3g}/s{lever})."


def _time(seconds: float) -> str:
    return duration(seconds * 1000)


def _rounded(n: float) -> int:
    """To two digits: a forecast has no more."""
    return int(float(f"{n:.2g}"))


def _requests_per_second(asked: Question, stage: Stage, *, at: int) -> float:
    lasted = (at - stage.opened_at) / 1000
    arms = (asked.evidence.rollout.baseline, *asked.evidence.rollout.candidates)
    return sum(asked.evidence.sums.n(arm, "requests", stage=stage.id) for arm in arms) / lasted if lasted > 0 else 0.0


def _share(asked: Question, stage: Stage) -> float:
    """The candidate's part of the route's requests now: of those shown to it for pairs, else of those it answers."""
    arm = next((arm for arm in stage.arms if arm.backend == asked.candidate), None)
    if arm is None:
        return 0.0
    if asked.design is Design.PAIRED or asked.metric.is_of_pairs:
        answered = sum(other.answers for other in stage.arms if other.backend == asked.evidence.rollout.baseline)
        return arm.shown / ALL * answered / ALL
    return arm.answers / ALL


def _tolerated(asked: Question, baseline: float) -> tuple[float, float]:
    """The assumed harm and the margin, absolute: a guardrail's candidate is as good, a success metric's better by its mde."""
    if asked.gate.role is GateRole.SUCCESS:
        return -(asked.gate.mde or 0.0), 0.0
    return 0.0, asked.margin * abs(baseline) if asked.relative else asked.margin


def _share_split(asked: Question, part: float) -> AnyDesign | None:
    stages = proportion_stages(asked)
    n, k = (sum(getattr(arm, name) for stage in stages for arm in (stage.baseline, stage.candidate)) for name in ("n", "k"))
    if not n or not 0 < part < 1 or not shared_stages(asked.evidence, asked.candidate):
        return None
    rate = k / n
    harm, margin = _tolerated(asked, rate)
    if not k:
        return Limit(rate=0.0, limit=margin, share=part) if margin < 1 and not asked.relative else None
    if asked.relative and asked.gate.role is not GateRole.SUCCESS:
        return Rates(ratio=1.0, share=part, baseline_rate=rate, margin=-asked.margin if asked.higher_is_better else asked.margin)
    moved = min(max(rate - harm if asked.higher_is_better else rate + harm, 0.0), 1.0)
    return Proportions(baseline=rate, candidate=moved, share=part, margin=margin, higher_is_better=asked.higher_is_better)


def _share_paired(asked: Question, part: float) -> AnyDesign | None:
    worse, same, better = pair_counts(asked)
    n = worse + same + better
    baseline = proportion(asked, asked.evidence.rollout.baseline)
    harm, margin = _tolerated(asked, baseline.k / baseline.n if baseline.n else 0.0)
    discordance = max((worse + better) / n if n else 0.0, abs(harm), 1 / max(n, 1))
    return PairedOutcomes(discordance=discordance, harm=harm, margin=margin, share=part) if n and part else None


def _alone(asked: Question, part: float) -> AnyDesign | None:
    arm = proportion(asked, asked.candidate)
    limit = asked.margin
    rate = (arm.n - arm.k if asked.higher_is_better else arm.k) / arm.n if arm.n else 0.0
    return Limit(rate=rate, limit=limit, share=part) if arm.n and part and rate < limit < 1 else None


def _mean_split(asked: Question, part: float) -> AnyDesign | None:
    stages = mean_stages(asked)
    a, b = merge_all(stage.baseline for stage in stages), merge_all(stage.candidate for stage in stages)
    if a.variance is None or b.variance is None or not 0 < part < 1:
        return None
    harm, margin = _tolerated(asked, a.mean)
    return Means(baseline_sd=_sd(a), candidate_sd=_sd(b), share=part, harm=harm, margin=margin)


def _mean_paired(asked: Question, part: float) -> AnyDesign | None:
    differences = pair_differences(asked)
    if differences.variance is None or not part:
        return None
    harm, margin = _tolerated(asked, mean(asked, asked.evidence.rollout.baseline).mean)
    return PairedMeans(sd=_sd(differences), harm=harm, margin=margin, share=part)


def _sd(values: Moments) -> float:
    return float((values.variance or 0.0) ** 0.5)


_DESIGNS: Mapping[tuple[Scale, Design], Callable[[Question, float], AnyDesign | None]] = MappingProxyType(
    {
        (Scale.SHARE, Design.SPLIT): _share_split,
        (Scale.SHARE, Design.PAIRED): _share_paired,
        (Scale.SHARE, Design.LIMIT): _alone,
        (Scale.MEAN, Design.SPLIT): _mean_split,
        (Scale.MEAN, Design.PAIRED): _mean_paired,
    }
)
