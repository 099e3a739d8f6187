"""Do two arms have the same quantile? An anytime p-value from two coins: in each arm a value is below the quantile with chance q.

If both arms had quantile x, neither coin would have much evidence against q at x, so the x with the least evidence decides.
Source: Howard & Ramdas (2022), "Sequential estimation of quantiles", section 5 (quantile A/B test).
"""

from collections.abc import Mapping
from itertools import accumulate

import numpy as np
from scipy.optimize import brentq
from scipy.special import digamma, logit

from modelctl.errors import InvalidInput
from modelctl.statistics import coin
from modelctl.statistics.arrays import Floats
from modelctl.statistics.quantiles import Histogram
from modelctl.statistics.tuning import COIN_CONCENTRATION

Counts = Mapping[float, int]
"""How often each value was seen. Values that fell in one bucket may stand as one value: the test stays exact."""


def log_e(baseline: Counts, candidate: Counts, *, q: float, kappa: float = COIN_CONCENTRATION) -> float:
    """The evidence that the arms' quantiles q differ: min over x of log E_a(x) + log E_b(x). 0 without values in an arm.

    At a value that was seen k times, the share at or below the quantile may be anything from the share below that value to
    the share up to it, so the least evidence within that range counts.
    """
    if not 0 < q < 1:
        raise InvalidInput(f"the quantile is {q}; give a share between 0 and 1, 0.99 for p99")
    arms = [{value: count for value, count in arm.items() if count} for arm in (baseline, candidate)]
    if not all(arms):
        return 0.0
    values = sorted({value for arm in arms for value in arm})
    evidence = [_least(arm, values, q=q, kappa=kappa) for arm in arms]
    return float((evidence[0] + evidence[1]).min())


def histogram_log_e(baseline: Histogram, candidate: Histogram, *, q: float, kappa: float = COIN_CONCENTRATION) -> float:
    """`log_e` on buckets of one accuracy, each as the single value that stands for it."""
    arms = [{bucket.value: bucket.count for bucket in arm.buckets()} for arm in (baseline, candidate)]
    return log_e(arms[0], arms[1], q=q, kappa=kappa)


def _least(counts: Counts, values: list[float], *, q: float, kappa: float) -> Floats:
    """The least log E at each of the sorted `values`. Shape (values,)."""
    seen = np.array([counts.get(value, 0) for value in values], dtype=np.float64)
    through = np.array(list(accumulate(seen)), dtype=np.float64)
    n = float(through[-1])
    nearest = np.clip(_fairest(n, q=q, kappa=kappa), through - seen, through)
    return coin.log_e(nearest, np.full_like(nearest, n), p0=q, kappa=kappa)


def _fairest(n: float, *, q: float, kappa: float) -> float:
    """The count, not necessarily whole, at which log E is least: it is convex, so its slope has one root in [0, n] at most."""

    def slope(k: float) -> float:
        return float(digamma(kappa * q + k) - digamma(kappa * (1 - q) + n - k) - logit(q))

    if slope(0.0) >= 0:
        return 0.0
    return n if slope(n) <= 0 else float(brentq(slope, 0.0, n, xtol=1e-12 * n))
