"""Whether the evidence may be used at all: were traffic and labels split as assigned, and are the pairs complete? Pure.

What is proven crooked here is not repaired by any test, so it blocks every raise and every promotion. Rolling back stays possible.
"""

import math
from collections.abc import Sequence

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.dropped import gap_faults, gap_text, gaps_of
from modelctl.controlplane.judgement.levels import designs_of
from modelctl.metric import Design, Source, metric_named
from modelctl.rollout import Stage
from modelctl.statistics import coin, sample_ratio
from modelctl.statistics.sample_ratio import BLOCK_LOG_E, SampleRatio, ShareStage
from modelctl.traffic import ALL, Role

PAIR_FLOOR = 0.98
"""Of the requests that were sent to a candidate, so many must have become pairs: those that did not may be the bad ones."""

_BLOCK_ALPHA = math.exp(-BLOCK_LOG_E)


def compare_split(evidence: Evidence) -> SampleRatio:
    """Whether the arms got the shares they were assigned, stage by stage: of requests, or of units where these are sticky.

    Sticky units stay over stages, so the evidence of stages is averaged (weights 1/(s (s + 1))) instead of multiplied.
    """
    if evidence.rollout.unit == "request":
        return sample_ratio.compare(_stages(evidence, "units"))
    stages = _stages(evidence, "first_unit")
    whole = sample_ratio.compare(stages)
    parts = [sample_ratio.compare([stage]).log_e - math.log(place * (place + 1)) for place, stage in enumerate(stages, 1)]
    return SampleRatio(_log_sum(parts), whole.observed, whole.expected, whole.chi_square, whole.p)


def compare_labels(evidence: Evidence) -> SampleRatio | None:
    """The same of the predictions whose truth is known. None without a gate that compares feedback of split traffic, and with
    sticky units: labels of one unit come together."""
    rollout = evidence.rollout
    asked = any(
        Design.SPLIT in designs_of(gate, rollout, candidate=candidate)
        for gate in rollout.gates
        if metric_named(gate.metric, rollout.fields).source is Source.FEEDBACK
        for candidate in rollout.candidates
    )
    return split_of_labels(evidence) if asked else None


def split_of_labels(evidence: Evidence) -> SampleRatio | None:
    """The same whatever the gates are; None with sticky units."""
    return sample_ratio.compare(_stages(evidence, "labelled")) if evidence.rollout.unit == "request" else None


def notes(evidence: Evidence) -> tuple[str, ...]:
    """What limits the evidence without making it unusable by itself: what was dropped, and how many labels came, which makes a
    verdict on them provisional."""
    return (*map(gap_text, gaps_of(evidence)), *_label_notes(evidence))


def _label_notes(evidence: Evidence) -> tuple[str, ...]:
    labels = compare_labels(evidence)
    if labels is None:
        return ()
    arms = (evidence.rollout.baseline, *evidence.rollout.candidates)
    answered = [evidence.sums.n(arm, "requests") for arm in arms]
    parts = [
        f"{known:,} of {n:,} answers of {arm} ({_percent(known / n)})"
        for arm, known, n in zip(arms, labels.observed, answered, strict=True)
        if n
    ]
    held = "do not come" if labels.blocked else "come, as far as can be told,"
    return (f"The truth is known for {', '.join(parts)}; labels {held} as traffic was split (E = {_evidence(labels.log_e)}).",)


def faults(evidence: Evidence) -> tuple[str, ...]:
    """What makes the evidence unusable, as sentences; empty when nothing is proven crooked."""
    split, labels = compare_split(evidence), compare_labels(evidence)
    found = [_crooked(evidence, split, what="Traffic split")] if split.blocked else []
    if labels is not None and labels.blocked:
        found.append(_crooked(evidence, labels, what="Labels arrived split"))
    found += gap_faults(evidence, _stages(evidence, "dropped"))
    return (*found, *(text for name in evidence.rollout.candidates for text in _incomplete(evidence, name)))


def _stages(evidence: Evidence, metric: str) -> list[ShareStage]:
    arms = (evidence.rollout.baseline, *evidence.rollout.candidates)
    return [_stage(evidence, stage, metric=metric, arms=arms) for stage in evidence.stages]


def _stage(evidence: Evidence, stage: Stage, *, metric: str, arms: Sequence[str]) -> ShareStage:
    answers = {arm.backend: arm.answers for arm in stage.arms if arm.role is not Role.NOISE}
    counts = tuple(evidence.sums.n(arm, metric, stage=stage.id) for arm in arms)
    return ShareStage(counts, tuple(answers.get(arm, 0) / ALL for arm in arms))


def _crooked(evidence: Evidence, split: SampleRatio, *, what: str) -> str:
    """Of the arm that is furthest from its share."""
    arms = (evidence.rollout.baseline, *evidence.rollout.candidates)
    total = sum(split.observed)
    seen = list(zip(arms, split.observed, split.expected, strict=True))
    arm, observed, expected = max(seen[1:] or seen, key=lambda one: abs(one[1] - one[2]))
    shares = f"{_percent(observed / total)} against {_percent(expected / total)} wanted" if total else "nothing"
    return f"{what} {shares} for {arm} ({observed:,} instead of {expected:,.0f}; E = {_evidence(split.log_e)})."


def _percent(share: float) -> str:
    return f"{share * 100:.2g}%" if share < 0.1 else f"{share * 100:.3g}%"


def _evidence(log_e: float) -> str:
    if log_e == math.inf:
        return "infinite"
    return f"{math.exp(log_e):,.0f}" if log_e < math.log(1e6) else f"10^{log_e / math.log(10):.0f}"


def _incomplete(evidence: Evidence, candidate: str) -> list[str]:
    """The requests that are still under way are no fault: at most the largest number in flight is left out."""
    counts = evidence.sums.counts(candidate, "funnel")
    sent, paired = counts.get("sent", 0), counts.get("paired", 0) + counts.get("duplicate", 0)
    under_way = max((arm.max_inflight for stage in evidence.stages for arm in stage.arms if arm.backend == candidate), default=0)
    complete = min(sent, paired + under_way)
    _, upper = coin.interval(complete, sent, alpha=_BLOCK_ALPHA)
    if upper >= PAIR_FLOOR:
        return []
    return [f"Only {paired:,} of {sent:,} requests sent to {candidate} became pairs, at least {PAIR_FLOOR:.0%} are needed."]


def _log_sum(parts: Sequence[float]) -> float:
    """ln of the sum of what `parts` are the logarithms of; 0 of nothing."""
    top = max(parts, default=0.0)
    return top + math.log(math.fsum(math.exp(part - top) for part in parts)) if parts and math.isfinite(top) else top
