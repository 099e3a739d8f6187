"""Units that have several rows: a ratio sum S/sum N over units, with the delta method's variance.

When users are assigned and requests are counted, rows of one user are alike, and an interval that takes them for independent
misses a third of the time. The unit is the user: S and N are its successes (or total) and its rows in a closed window.
Source: Deng, Knoblich, Lu (2018), "Applying the delta method in metric analytics".
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelctl.errors import Corrupt, InvalidInput
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import MIN_UNITS, overlap, stratify
from modelctl.statistics.estimate import Estimate, anytime, settled, too_few

_CORRUPT = 1e-9
"""Relative to the sums' own size: a residual more negative than this is no rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clusters:
    """`units` units, of which each has S, the sum of (value - pivot) over its rows, and N > 0 rows: sums over the units.

    The pivot is 0 for counts; for values far from 0 it is near them, so that the squares keep their digits.
    """

    units: int = 0
    s: float = 0.0
    n: float = 0.0
    ss: float = 0.0
    nn: float = 0.0
    sn: float = 0.0
    pivot: float = 0.0

    def __post_init__(self) -> None:
        sums = (self.s, self.n, self.ss, self.nn, self.sn, self.pivot)
        if self.units < 0 or self.n < self.units or not all(math.isfinite(value) for value in sums):
            raise InvalidInput(f"{self} is not the summary of any units; each has at least one row and finite sums")

    @property
    def ratio(self) -> float | None:
        """sum S/sum N, the mean over rows; None without rows."""
        return self.pivot + self.s / self.n if self.n else None

    @property
    def variance(self) -> float | None:
        """(Var S - 2 r Cov + r^2 Var N)/mean(N)^2, with K - 1, of one unit; None below two units. Divided by K: that of the ratio.

        0 when it is within the rounding of the sums. Raises Corrupt when the sums belong to no data.
        """
        if self.units < 2:
            return None
        r = self.s / self.n
        residual = self.ss - 2 * r * self.sn + r * r * self.nn
        size = self.ss + 2 * abs(r * self.sn) + r * r * self.nn
        if residual < -_CORRUPT * size or self.ss < 0:
            raise Corrupt(f"{self} belongs to no data: its squares are too small for its sums; rebuild the rollup from its rows")
        rounding = min(_CORRUPT, 4 * sys.float_info.epsilon * self.units) * size
        return residual / (self.units - 1) / (self.n / self.units) ** 2 if residual > rounding else 0.0


@dataclass(frozen=True, slots=True)
class ClusterStage:
    """Both arms of a period with constant shares. A unit stands in one stage only, the one in which its window closed."""

    baseline: Clusters
    candidate: Clusters


def summarise(units: Sequence[tuple[float, float]], *, pivot: float = 0.0) -> Clusters:
    """The sums over units, each given as its total and its rows."""
    s = [total - pivot * rows for total, rows in units]
    n = [rows for _, rows in units]
    return Clusters(
        units=len(units),
        s=math.fsum(s),
        n=math.fsum(n),
        ss=math.fsum(value * value for value in s),
        nn=math.fsum(rows * rows for rows in n),
        sn=math.fsum(value * rows for value, rows in zip(s, n, strict=True)),
        pivot=pivot,
    )


def merge(first: Clusters, second: Clusters) -> Clusters:
    """The sums of the union of two disjoint sets of units. An empty part may have any pivot."""
    if not first.units or not second.units:
        return second if second.units else first
    if first.pivot != second.pivot:
        raise InvalidInput(f"sums around {first.pivot} and around {second.pivot} do not add up; take one pivot per metric")
    return Clusters(
        units=first.units + second.units,
        s=first.s + second.s,
        n=first.n + second.n,
        ss=first.ss + second.ss,
        nn=first.nn + second.nn,
        sn=first.sn + second.sn,
        pivot=first.pivot,
    )


def scaled(arm: Clusters, factor: float) -> Clusters:
    """The sums when every value is multiplied by `factor`, about the same pivot."""
    gap = (factor - 1) * arm.pivot
    return Clusters(
        units=arm.units,
        s=factor * arm.s + gap * arm.n,
        n=arm.n,
        ss=factor**2 * arm.ss + 2 * factor * gap * arm.sn + gap**2 * arm.nn,
        nn=arm.nn,
        sn=factor * arm.sn + gap * arm.nn,
        pivot=arm.pivot,
    )


def standard_error(arm: Clusters) -> float | None:
    """sqrt(variance/K) of one arm's ratio; None below two units."""
    return None if arm.variance is None else math.sqrt(arm.variance / arm.units)


def iid_standard_error(arm: Clusters) -> float | None:
    """sqrt(r (1 - r)/sum N): what the error would be if the rows were independent yes-or-no answers. For display.

    None without rows, or when the ratio is no share.
    """
    share = arm.ratio
    return math.sqrt(share * (1 - share) / arm.n) if share is not None and 0 <= share <= 1 else None


def design_effect(arm: Clusters) -> float | None:
    """How many times larger the variance of a share is than for independent rows; None where that is 0 or there is no share."""
    clustered, naive = standard_error(arm), iid_standard_error(arm)
    return (clustered / naive) ** 2 if clustered is not None and naive else None


def variances(baseline: Clusters, candidate: Clusters) -> tuple[float, float]:
    """The variance of the difference of two ratios, unpooled, and with the units of both arms taken as one set."""
    unpooled = sum((arm.variance or 0.0) / max(arm.units, 1) for arm in (baseline, candidate))
    pooled = merge(baseline, candidate).variance or 0.0
    return unpooled, pooled * (1 / max(baseline.units, 1) + 1 / max(candidate.units, 1))


def estimate(stages: Sequence[ClusterStage], *, same_units: bool = False) -> Estimate:
    """The stage-stratified difference of two ratios, gated on 100 units in the smaller arm. `n` counts units.

    As for rows, the larger of the two variances decides, and stages weigh K_a K_b/(K_a + K_b). With `same_units` a unit may stand
    in several stages: then the standard errors add up instead of their squares, which holds however alike a unit's stages are.
    """
    used = [stage for stage in stages if stage.baseline.units and stage.candidate.units]
    if not used:
        return settled(None, 0.0, n=0, few="an arm has no units yet")
    k_a, k_b = np.array([(float(stage.baseline.units), float(stage.candidate.units)) for stage in used]).T
    gaps = np.array([(stage.candidate.ratio or 0.0) - (stage.baseline.ratio or 0.0) for stage in used])
    spread = np.array([max(variances(stage.baseline, stage.candidate)) for stage in used])
    weights = overlap(k_a, k_b)
    value, se = stratify(gaps, spread, weights=weights)
    if same_units:
        se = (weights * np.sqrt(spread)).sum() / weights.sum()
    few = too_few(float(min(k_a.sum(), k_b.sum())), "units in the smaller arm", minimum=MIN_UNITS)
    return settled(float(value), float(se), n=int(k_a.sum() + k_b.sum()), few=few)


def compare(stages: Sequence[ClusterStage], *, tau: float, alpha: float) -> Comparison:
    """`estimate` with its always-valid interval."""
    return anytime(estimate(stages), tau=tau, alpha=alpha)


def estimate_one_arm(stages: Sequence[Clusters]) -> Estimate:
    """One arm's ratio over stages that may share units: errors add up. Gated on 100 units in the largest stage."""
    used = [stage for stage in stages if stage.units]
    rows = math.fsum(stage.n for stage in used)
    if not rows:
        return settled(None, 0.0, n=0, few="the arm has no units yet")
    value = math.fsum(stage.n * (stage.ratio or 0.0) for stage in used) / rows
    se = math.fsum(stage.n * (standard_error(stage) or 0.0) for stage in used) / rows
    few = too_few(max(stage.units for stage in used), "units in the largest stage", minimum=MIN_UNITS)
    return settled(value, se, n=sum(stage.units for stage in used), few=few)
