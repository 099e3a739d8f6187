"""Did the arms receive the traffic they were assigned? A sequential test for a sample ratio mismatch (SRM); chi-square for display.

A mismatch means that units were lost or moved between arms, so no comparison can be trusted: it blocks a verdict.
Source: Lindon & Malek (2022), Dirichlet-multinomial mixture. Units, not requests; each stage with its own shares.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, gammaln

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats
from modelctl.statistics.tuning import SHARE_CONCENTRATION

BLOCK_LOG_E = math.log(1000)
"""At this evidence (alpha 0.001) results are withheld."""


@dataclass(frozen=True, slots=True)
class ShareStage:
    """Units per arm in a period with constant `shares`, which add up to 1. An arm without share is left out or has 0 units."""

    counts: tuple[int, ...]
    shares: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.shares) or min(self.counts, default=-1) < 0 or min(self.shares, default=-1) < 0:
            raise InvalidInput(f"{self} needs one count and one share for each arm, none below 0")
        if not math.isclose(math.fsum(self.shares), 1, abs_tol=1e-9):
            raise InvalidInput(f"the shares {self.shares} add up to {math.fsum(self.shares)}, not to 1; name every arm")


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """`log_e` decides; `chi_square` and its fixed-horizon `p` are for display, valid for one look only."""

    log_e: float
    observed: tuple[int, ...]
    expected: tuple[float, ...]
    chi_square: float
    p: float

    @property
    def blocked(self) -> bool:
        """Whether the split is proven wrong."""
        return self.log_e >= BLOCK_LOG_E


def log_e(counts: Floats, shares: Floats, *, kappa: float = SHARE_CONCENTRATION) -> Floats:
    """The evidence that `counts` were not drawn with `shares` > 0. The last axis is the arm; `counts` may have more axes."""
    prior = kappa * shares
    n = counts.sum(axis=-1)
    mixture = gammaln(kappa) - gammaln(prior).sum() + gammaln(prior + counts).sum(axis=-1) - gammaln(kappa + n)
    evidence: Floats = mixture - counts @ np.log(shares)
    return evidence


def compare(stages: Sequence[ShareStage], *, kappa: float = SHARE_CONCENTRATION) -> SampleRatio:
    """The evidence of all stages together. The stages' arms are in one order; inf when an arm without share has units."""
    if len({len(stage.shares) for stage in stages}) > 1:
        raise InvalidInput("the stages have different numbers of arms; give an arm that was not there the share 0")
    observed = tuple(sum(arm) for arm in zip(*(stage.counts for stage in stages), strict=True))
    expected = tuple(math.fsum(arm) for arm in zip(*(_expected(stage) for stage in stages), strict=True))
    statistic, p = chi_square(observed, expected)
    return SampleRatio(math.fsum(_stage_log_e(stage, kappa=kappa) for stage in stages), observed, expected, statistic, p)


def chi_square(observed: Sequence[int], expected: Sequence[float]) -> tuple[float, float]:
    """Pearson's statistic and its p, arms - 1 degrees of freedom. `expected` may be weights. (0, 1): nothing to test."""
    n, weight = sum(observed), math.fsum(expected) or 1.0
    arms = [(seen, n * part / weight) for seen, part in zip(observed, expected, strict=True) if part or seen]
    if any(not wanted for _, wanted in arms):
        return math.inf, 0.0
    statistic = math.fsum((seen - wanted) ** 2 / wanted for seen, wanted in arms)
    return statistic, float(chdtrc(len(arms) - 1, statistic)) if len(arms) > 1 else 1.0


def _expected(stage: ShareStage) -> list[float]:
    return [sum(stage.counts) * share for share in stage.shares]


def _stage_log_e(stage: ShareStage, *, kappa: float) -> float:
    if any(count and not share for count, share in zip(stage.counts, stage.shares, strict=True)):
        return math.inf
    arms = [(count, share) for count, share in zip(stage.counts, stage.shares, strict=True) if share]
    counts, shares = (np.array(side, dtype=np.float64) for side in zip(*arms, strict=True))
    return float(log_e(counts, shares, kappa=kappa))
