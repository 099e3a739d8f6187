"""Less noise from what was known before: outcomes adjusted by a covariate that the assignment cannot touch.

With shadow traffic the covariate is the baseline's score on the same request, computed in both arms. Latency, cache hits and
anything else that happens after the exposure must not be used.
Source: Deng, Xu, Kohavi, Walker (2013), "Improving the sensitivity of online controlled experiments" (CUPED).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelctl.errors import Corrupt, InvalidInput
from modelctl.statistics import moments
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import MeanStage, estimate_means
from modelctl.statistics.estimate import Estimate, anytime
from modelctl.statistics.moments import Moments

_CORRUPT = 1e-9
"""Relative: a correlation beyond 1 by more than this is no rounding."""


@dataclass(frozen=True, slots=True)
class Joint:
    """The moments of an outcome y and of its covariate x over the same units, and cross = sum((y - mean y)(x - mean x))."""

    y: Moments = field(default_factory=Moments)
    x: Moments = field(default_factory=Moments)
    cross: float = 0.0

    def __post_init__(self) -> None:
        if self.y.n != self.x.n:
            raise InvalidInput(f"{self.y.n} outcomes and {self.x.n} covariates; leave out units that lack one of them")
        if not self.cross**2 <= self.y.m2 * self.x.m2 * (1 + _CORRUPT) ** 2:
            raise Corrupt(f"{self} belongs to no data: its correlation is beyond 1; rebuild the rollup from its rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class JointSums:
    """Sums over n units of y' = y - pivot_y and x' = x - pivot_x, of their squares and of their product: what a rollup holds."""

    n: int
    y: float
    x: float
    yy: float
    xx: float
    xy: float
    pivot_y: float = 0.0
    pivot_x: float = 0.0


def from_sums(sums: JointSums) -> Joint:
    """The joint moments. Raises Corrupt for sums that belong to no data."""
    y = moments.from_shifted_sums(sums.n, sums.y, s2=sums.yy, pivot=sums.pivot_y)
    x = moments.from_shifted_sums(sums.n, sums.x, s2=sums.xx, pivot=sums.pivot_x)
    if not y.m2 or not x.m2:
        return Joint(y, x)
    cross, most = sums.xy - sums.y * sums.x / sums.n, math.sqrt(y.m2) * math.sqrt(x.m2)
    slack = _CORRUPT * math.sqrt(sums.yy) * math.sqrt(sums.xx)
    if abs(cross) > most + slack:
        raise Corrupt(f"{sums} belongs to no data: its correlation is beyond 1; rebuild the rollup from its rows")
    return Joint(y, x, _within(cross, most))


@dataclass(frozen=True, slots=True)
class JointStage:
    """Both arms of a period with constant shares."""

    baseline: Joint
    candidate: Joint


def merge(first: Joint, second: Joint) -> Joint:
    """The joint moments of the union of two disjoint sets of units (Chan)."""
    n = first.y.n + second.y.n
    if not first.y.n or not second.y.n:
        return second if second.y.n else first
    apart = (second.y.mean - first.y.mean) * (second.x.mean - first.x.mean)
    cross = first.cross + second.cross + apart * (first.y.n * (second.y.n / n))
    y, x = moments.merge(first.y, second.y), moments.merge(first.x, second.x)
    return Joint(y, x, _within(cross, math.sqrt(y.m2) * math.sqrt(x.m2)))


def slope(stages: Sequence[JointStage]) -> float:
    """theta = cov(y, x)/var(x) of both arms together, within stages; 0 when the covariate does not vary."""
    pooled = [merge(stage.baseline, stage.candidate) for stage in stages]
    varied = [one for one in pooled if not one.x.constant]
    spread = math.fsum(one.x.m2 for one in varied)
    return math.fsum(one.cross for one in varied) / spread if spread else 0.0


def adjusted(arm: Joint, theta: float) -> Moments:
    """The moments of y - theta x."""
    m2 = arm.y.m2 - 2 * theta * arm.cross + theta * theta * arm.x.m2
    return Moments(arm.y.n, arm.y.mean - theta * arm.x.mean, max(m2, 0.0))


def variance_reduction(stages: Sequence[JointStage]) -> float | None:
    """The share of the outcome's variance that the covariate explains, rho^2 in 0..1; None when the outcome does not vary."""
    pooled = [merge(stage.baseline, stage.candidate) for stage in stages]
    before, theta = math.fsum(one.y.m2 for one in pooled), slope(stages)
    return 1 - math.fsum(adjusted(one, theta).m2 for one in pooled) / before if before else None


def estimate(stages: Sequence[JointStage], *, theta: float | None = None) -> Estimate:
    """The stage-stratified difference of adjusted means, gated like a difference of means.

    `theta` from before the start keeps exact methods exact; from the running data (None) it is right in large samples.
    """
    used = slope(stages) if theta is None else theta
    return estimate_means([MeanStage(adjusted(one.baseline, used), adjusted(one.candidate, used)) for one in stages])


def compare(stages: Sequence[JointStage], *, tau: float, alpha: float, theta: float | None = None) -> Comparison:
    """`estimate` with its always-valid interval."""
    return anytime(estimate(stages, theta=theta), tau=tau, alpha=alpha)


def _within(cross: float, most: float) -> float:
    """`cross` without what rounding put beyond a correlation of 1."""
    return min(most, max(-most, cross))
