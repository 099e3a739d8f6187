"""Whether too much of the evidence was dropped before it was recorded, or of one arm more than its share. Pure.

What was dropped stays in the sums of its stage. Only more evidence makes it a smaller part, or a new rollout, which begins without.
"""

import math
from collections.abc import Iterator, Sequence

import msgspec

from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.statistics import sample_ratio
from modelctl.statistics.sample_ratio import SampleRatio, ShareStage

MOST = 0.02
"""Of an arm's answers, and of a candidate's pairs, so much may be dropped: those that are missing may be the bad ones."""

MOST_UNEQUAL = 0.001
"""So much of all answers may be dropped before it matters that they were one arm's more than the other's."""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Of one arm: the records that are there, and those that were dropped, by reason. `pairs`: pairs with a candidate, else
    answers to clients."""

    arm: str
    pairs: bool
    recorded: int
    dropped: dict[str, int]

    @property
    def n(self) -> int:
        """How many were dropped."""
        return sum(self.dropped.values())

    @property
    def share(self) -> float:
        """The dropped part of all."""
        return self.n / (self.n + self.recorded) if self.n else 0.0

    @property
    def needed(self) -> int:
        """How many more records it takes until the dropped ones are few enough."""
        return max(0, math.ceil(self.n / MOST) - self.n - self.recorded)


def gaps_of(evidence: Evidence) -> tuple[Gap, ...]:
    """Where something was dropped: of the baseline, then of each candidate."""
    rollout = evidence.rollout
    arms = (rollout.baseline, *rollout.candidates)
    found = [_answers(evidence, arm) for arm in arms] + [_pairs(evidence, name) for name in rollout.candidates]
    return tuple(gap for gap in found if gap.n)


def gap_faults(evidence: Evidence, stages: Sequence[ShareStage]) -> Iterator[str]:
    """Why the evidence is too incomplete to be used, as sentences. `stages` are the answers dropped in each, by arm."""
    gaps = gaps_of(evidence)
    for gap in gaps:
        if gap.needed:
            yield f"{_told(gap)}; at most {MOST:.0%} may be. {gap.needed:,} more that are recorded, or a new rollout, mend it."
    split = compare_drops(evidence, stages)
    if split is not None and split.blocked:
        yield f"{' '.join(_told(gap) + '.' for gap in gaps if not gap.pairs)} That is more of one arm than its share explains."


def compare_drops(evidence: Evidence, stages: Sequence[ShareStage]) -> SampleRatio | None:
    """Whether the dropped answers were the arms' by their shares. None where too few are missing to matter, and where units are
    kept on their arm: what one of them sends is dropped together."""
    answers = [gap for gap in gaps_of(evidence) if not gap.pairs]
    recorded = sum(evidence.sums.n(arm, "requests") for arm in (evidence.rollout.baseline, *evidence.rollout.candidates))
    n = sum(gap.n for gap in answers)
    if evidence.rollout.unit != "request" or n <= MOST_UNEQUAL * (n + recorded):
        return None
    return sample_ratio.compare(stages)


def gap_text(gap: Gap) -> str:
    """One line about it."""
    return f"{_told(gap)}."


def _told(gap: Gap) -> str:
    what = f"pairs with {gap.arm}" if gap.pairs else f"answers of {gap.arm}"
    reasons = ", ".join(f"{reason} {n:,}" for reason, n in sorted(gap.dropped.items()))
    share = f"{gap.share * 100:.2g}%" if gap.share < 0.1 else f"{gap.share * 100:.3g}%"
    return f"{gap.n:,} of {gap.n + gap.recorded:,} {what} were dropped before they were recorded ({share}; {reasons})"


def _answers(evidence: Evidence, arm: str) -> Gap:
    return Gap(arm=arm, pairs=False, recorded=evidence.sums.n(arm, "requests"), dropped=evidence.sums.counts(arm, "dropped"))


def _pairs(evidence: Evidence, candidate: str) -> Gap:
    recorded = evidence.sums.counts(candidate, "funnel").get("paired", 0)  # those that asked again are among them
    return Gap(arm=candidate, pairs=True, recorded=recorded, dropped=evidence.sums.counts(candidate, "pair_dropped"))
