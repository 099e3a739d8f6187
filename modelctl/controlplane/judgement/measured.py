"""What a gate's metric came to, read from a rollout's sums: proportions, moments and counts of pairs. Pure.

`recorder.rollups` says what each metric's key and sums are.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence, shared_stages
from modelctl.controlplane.judgement.sums import moments
from modelctl.gate import Gate, MarginKind
from modelctl.latency import bucket_index, growth
from modelctl.metric import Design, Metric, Scale, Source, Worse
from modelctl.statistics.difference import MeanStage, Proportion, ProportionStage
from modelctl.statistics.moments import Moments
from modelctl.statistics.tuning import mixing_sd_at

TUNED_UNITS = 1_000
"""Intervals of means without a declared effect are tightest at this many units, on the scale of the data's own spread
(2103.06476)."""

USUAL_EFFECT = 0.005
"""What intervals of shares are tuned for when neither a margin nor an effect is declared: half a point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One gate asked about one candidate in one design."""

    evidence: Evidence
    candidate: str
    gate: Gate
    metric: Metric
    design: Design

    @property
    def sticky(self) -> bool:
        """Whether requests of one unit come together, so that the unit is what was assigned."""
        return self.evidence.rollout.unit != "request"

    @property
    def by_unit(self) -> bool:
        """Whether sticky units are counted. Pairs are not: both arms answered the same request."""
        return self.sticky and self.design is not Design.PAIRED and not self.metric.is_of_pairs

    @property
    def relative(self) -> bool:
        """Whether the margin is a share of the baseline's value."""
        return self.gate.margin is not None and self.gate.margin.kind is MarginKind.RELATIVE

    @property
    def higher_is_better(self) -> bool:
        """Whether more of it does good; a metric without a good side counts as one that does not."""
        return self.metric.worse is Worse.LOWER

    @property
    def margin(self) -> float:
        """The harm that is tolerated, in the margin's unit: 0 for a success metric without one, for a limit what it leaves."""
        if self.gate.limit is not None:
            return 1 - self.gate.limit if self.higher_is_better else self.gate.limit
        return self.gate.margin.amount if self.gate.margin is not None else 0.0

    @property
    def rollup(self) -> str:
        """The name its sums have in rollups."""
        if self.metric.name == "slow_rate" and self.sticky:
            return slow_rollup(self.gate)
        return _ROLLUPS.get(
            self.metric.name, f"field:{self.metric.name}" if self.metric.source is Source.FIELD else self.metric.name
        )

    @property
    def effect(self) -> float | None:
        """What intervals are tuned for, absolute and declared; None when it is not."""
        if self.gate.mde is not None:
            return self.gate.mde
        if self.gate.margin is not None and not self.relative:
            return self.gate.margin.amount
        return USUAL_EFFECT if self.metric.scale is Scale.SHARE else None

    @property
    def pivot(self) -> float:
        """What was taken off its values before they were summed."""
        return self.evidence.pivots.get(self.rollup, 0.0)


Seat = tuple[str, int | None]
"""An arm, and the stage it is looked at in; None for all."""

_ROLLUPS = MappingProxyType({"error_rate": "error", "timeout_rate": "timeout", "slow_rate": "slow", "prediction": "number"})


def proportion_stages(asked: Question) -> list[ProportionStage]:
    """Both arms of every stage in which both answered a share, in the order they opened."""
    baseline, candidate = asked.evidence.rollout.baseline, asked.candidate
    return [
        ProportionStage(proportion(asked, baseline, stage=stage.id), proportion(asked, candidate, stage=stage.id))
        for stage, _, _ in shared_stages(asked.evidence, candidate)
    ]


def shares(asked: Question) -> list[float]:
    """The candidate's part of what both arms answered, for the stages of `proportion_stages`."""
    return [other.answers / (arm.answers + other.answers) for _, arm, other in shared_stages(asked.evidence, asked.candidate)]


def mean_stages(asked: Question) -> list[MeanStage]:
    """The same for means."""
    baseline, candidate = asked.evidence.rollout.baseline, asked.candidate
    return [
        MeanStage(mean(asked, baseline, stage=stage.id), mean(asked, candidate, stage=stage.id))
        for stage, _, _ in shared_stages(asked.evidence, candidate)
    ]


def mean(asked: Question, arm: str, *, stage: int | None = None) -> Moments:
    """The values of one arm, in one stage or all."""
    sums = asked.evidence.sums
    found = sums.over_stages(arm, asked.rollup) if stage is None else sums.of(arm, asked.rollup, stage=stage)
    return moments(found, pivot=asked.pivot)


def proportion(asked: Question, arm: str, *, stage: int | None = None) -> Proportion:
    """How many units of one arm had the event, in one stage or all."""
    if asked.gate.slice is not None:
        return _sliced(asked, (arm, stage))
    return _COUNTED.get(asked.metric.name, _flagged)(asked, (arm, stage))


def _sliced(asked: Question, seat: Seat) -> Proportion:
    """Of one slice. Agreement is summed up by its opposite."""
    arm, stage = seat
    sums, metric, key = asked.evidence.sums, f"slice:{asked.rollup}", _slice_key(asked)
    found = sums.over_stages(arm, metric, key=key) if stage is None else sums.of(arm, metric, stage=stage, key=key)
    return Proportion(found.n, found.n - found.k if asked.metric.name == "agreement" else found.k)


def _slice_key(asked: Question, *sign: str) -> str:
    return msgspec.json.encode([*(asked.gate.slice or ()), *sign]).decode()


def _flagged(asked: Question, seat: Seat) -> Proportion:
    arm, stage = seat
    sums = asked.evidence.sums
    found = sums.over_stages(arm, asked.rollup) if stage is None else sums.of(arm, asked.rollup, stage=stage)
    return Proportion(found.n, found.k)


def _late(asked: Question, seat: Seat) -> Proportion:
    arm, stage = seat
    counts = asked.evidence.sums.counts(arm, "requests", stage=stage)
    return Proportion(sum(counts.values()), counts.get("timeout", 0))


def _slow(asked: Question, seat: Seat) -> Proportion:
    arm, stage = seat
    counts = asked.evidence.sums.counts(arm, "latency", stage=stage)
    last = _threshold_bucket(asked.gate.slower_ms)
    return Proportion(sum(counts.values()), sum(n for key, n in counts.items() if key != "zero" and int(key) > last))


def _threshold_bucket(slower_ms: float) -> int:
    return bucket_index(slower_ms * 1000)


def slow_rollup(gate: Gate) -> str:
    """The name that a sticky unit's slow answers are summed up under."""
    return f"slow:{_threshold_bucket(gate.slower_ms)}"


def slow_edge(slower_ms: float) -> float:
    """The threshold in milliseconds as it is counted: the upper edge of its latency bucket, at most 2.02 % above it."""
    edge: float = growth() ** _threshold_bucket(slower_ms)
    return edge / 1000


def _agreeing(asked: Question, seat: Seat) -> Proportion:
    arm, stage = seat
    counts = asked.evidence.sums.counts(arm, "agreement", stage=stage)
    return Proportion(sum(counts.values()), counts.get("equal", 0))


_COUNTED: Mapping[str, Callable[[Question, Seat], Proportion]] = MappingProxyType(
    {"timeout_rate": _late, "slow_rate": _slow, "agreement": _agreeing}
)


def degrees(asked: Question, arm: str) -> tuple[float, int]:
    """The sum of one number from 0 to 1 a unit, over all stages, and the units: for most metrics its events, 1 each."""
    if asked.metric.name == "similarity":
        found = asked.evidence.sums.over_stages(arm, "similarity")
        return found.s1, found.n
    counted = proportion(asked, arm)
    return counted.k, counted.n


def pair_counts(asked: Question) -> tuple[int, int, int]:
    """Pairs in which only the candidate is worse, neither, and only the baseline."""
    if asked.gate.slice is not None:
        metric = f"slice:pair_{asked.rollup}"
        worse, same, better = (
            asked.evidence.sums.over_stages(asked.candidate, metric, key=_slice_key(asked, sign)).n for sign in "-0+"
        )
        return worse, same, better
    counts = asked.evidence.sums.counts(asked.candidate, f"pair_{asked.rollup}")
    return counts.get("-", 0), counts.get("0", 0), counts.get("+", 0)


def pair_differences(asked: Question) -> Moments:
    """Candidate minus baseline over the pairs."""
    name = "difference" if asked.metric.name == "prediction" else f"pair_{asked.rollup}"
    return moments(asked.evidence.sums.over_stages(asked.candidate, name))


def rates(stages: Sequence[ProportionStage]) -> tuple[float | None, float | None]:
    """The share of both arms over all stages, for display."""
    a, b = [stage.baseline for stage in stages], [stage.candidate for stage in stages]
    return rate(a), rate(b)


def rate(arms: Sequence[Proportion]) -> float | None:
    """The share over all of them; None without units."""
    n = sum(arm.n for arm in arms)
    return sum(arm.k for arm in arms) / n if n else None


def spread_tau(values: Moments) -> float:
    """What a mean's interval is tuned for when nothing is declared."""
    return mean_spread(values.variance or 0.0)


def mean_spread(variance: float) -> float:
    """The same from the variance of one unit."""
    # Without spread there is no interval either, whatever tau is.
    return mixing_sd_at(math.sqrt(variance / TUNED_UNITS)) if variance > 0 else 1.0
