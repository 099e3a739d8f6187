"""The standard error of a quantile whose rows come in clusters, for one look: for display beside the always-valid interval.

The iid variance from an order-statistic interval, times the design effect of the share of rows at or below the quantile.
Source: Deng, Knoblich, Lu (2018), section 4; the same numbers as gbstats QuantileClusteredStatistic, without its absolute floor.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from modelctl.errors import InvalidInput
from modelctl.statistics.clusters import Clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileInterval:
    """The order-statistic interval [lower, upper] of quantile `q`, read from `n_star` of `n` rows (all of them as a rule)."""

    q: float
    n: int
    n_star: int
    lower: float
    upper: float
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if not (0 < self.q < 1 and self.n > 1 and self.n_star > 0 and self.lower <= self.upper):
            raise InvalidInput(f"{self} is no interval of a quantile: 0 < q < 1, at least two rows, lower <= upper")


@dataclass(frozen=True, slots=True)
class QuantileError:
    """`variance` is per row, `se` that of the quantile; `design_effect` is None for independent rows."""

    variance: float
    se: float
    design_effect: float | None = None


def independent(interval: QuantileInterval) -> QuantileError:
    """(n_star/n) (n - 1) ((U - L)/(2 z))^2 per row; the quantile's error is sqrt(variance/n)."""
    z = float(ndtri((1 + interval.confidence) / 2))
    half = (interval.upper - interval.lower) / (2 * z)
    variance = interval.n_star / interval.n * (interval.n - 1) * half * half
    return QuantileError(variance, math.sqrt(variance / interval.n))


def clustered(interval: QuantileInterval, below: Clusters) -> QuantileError:
    """`below` has, for each unit, S rows at or below the quantile of N rows. Raises InvalidInput below two units.

    deff = Var(sum S/sum N)/(q (1 - q)/n); the variance is multiplied by it.
    """
    if below.variance is None:
        raise InvalidInput(f"{below.units} units show no variation between units; at least two are needed")
    deff = below.variance / below.units / (interval.q * (1 - interval.q) / interval.n)
    variance = independent(interval).variance * deff
    return QuantileError(variance, math.sqrt(variance / interval.n), deff)
