"""Always-valid intervals for the mean of values in [0, 1] that are exact at any n: empirical Bernstein, and betting.

Both depend on the order of arrival and read rows, so they serve audits of a stored sequence and not the rollups.
Source: Waudby-Smith & Ramdas (2023), "Estimating means of bounded random variables by betting", theorems 2 and 3, with the
predictable plug-in bets of its section 3.
"""

import math
from collections.abc import Sequence

import numpy as np

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.roots import edge
from modelctl.statistics.tuning import log_threshold

CAP = 0.5
"""Bets are kept at half of what could lose everything."""


def plug_in_bets(x: Floats, *, alpha: float) -> Floats:
    """lambda_t = sqrt(2 ln(2/alpha)/(t ln(1 + t) s2_(t-1))): each bet known before its value is. Shape (n,), above 0.

    mu_t = (1/2 + sum x)/(t + 1), at most 1, and s2_t = (1/4 + sum (x_i - mu_i)^2)/(t + 1), s2_0 = 1/4.
    """
    t = np.arange(1.0, len(x) + 1)
    mu = np.minimum((0.5 + np.cumsum(x)) / (t + 1), 1.0)
    spread = (0.25 + np.cumsum((x - mu) ** 2)) / (t + 1)
    before = np.concatenate(([0.25], spread))[: len(x)]
    bets: Floats = np.sqrt(2 * log_threshold(alpha / 2) / (t * np.log1p(t) * before))
    return bets


def empirical_bernstein(values: Sequence[float], *, alpha: float) -> tuple[Floats, Floats]:
    """The lower and the upper end after each value, within [0, 1]; no running intersection. Shapes (n,)."""
    x = _checked(values)
    return _bernstein_lower(x, alpha=alpha), 1 - _bernstein_lower(1 - x, alpha=alpha)


def _bernstein_lower(x: Floats, *, alpha: float) -> Floats:
    """(sum l x - ln(2/alpha) - sum v psi(l))/sum l with v = (x_t - mean_(t-1))^2, mean_0 = 0, psi(l) = -ln(1 - l) - l."""
    bets = np.minimum(plug_in_bets(x, alpha=alpha), CAP)
    means = np.cumsum(x) / np.arange(1.0, len(x) + 1)
    variations = (x - np.concatenate(([0.0], means))[: len(x)]) ** 2
    cost = log_threshold(alpha / 2) + np.cumsum(variations * (-np.log1p(-bets) - bets))
    lower: Floats = np.maximum((np.cumsum(bets * x) - cost) / np.cumsum(bets), 0.0)
    return lower


def log_wealth(values: Sequence[float], mean: float, *, alpha: float) -> Floats:
    """ln of half the larger of two gamblers' wealth against "the mean is `mean`", after each value: ln E. Shape (n,).

    One bets that the mean is above, with at most 0.5/mean, the other below, with at most 0.5/(1 - mean).
    """
    x = _checked(values)
    if not 0 <= mean <= 1:
        raise InvalidInput(f"the mean to test is {mean}; values in [0, 1] have a mean in [0, 1]")
    above, below = _log_capitals(x, mean, alpha=alpha)
    wealth: Floats = np.maximum(above, below) - math.log(2)
    return wealth


def _log_capitals(x: Floats, mean: float, *, alpha: float) -> tuple[Floats, Floats]:
    bets = plug_in_bets(x, alpha=alpha)
    up = np.minimum(bets, CAP / mean if mean > 0 else math.inf)
    down = np.minimum(bets, CAP / (1 - mean) if mean < 1 else math.inf)
    return np.cumsum(np.log1p(up * (x - mean))), np.cumsum(np.log1p(-down * (x - mean)))


def betting_interval(values: Sequence[float], *, alpha: float) -> tuple[float, float]:
    """All means that neither gambler rejects after the last value; (0, 1) without values.

    The first wealth falls and the second grows with the mean that is tested, so each end is one root.
    """
    x = _checked(values)
    threshold = log_threshold(alpha / 2)
    if not len(x):
        return 0.0, 1.0
    lower = edge(lambda mean: float(_log_capitals(x, mean, alpha=alpha)[0][-1]) - threshold, 1.0, outside=0.0)
    upper = edge(lambda mean: float(_log_capitals(x, mean, alpha=alpha)[1][-1]) - threshold, 0.0, outside=1.0)
    return 0.0 if lower is None else lower, 1.0 if upper is None else upper


def compare(values: Sequence[float], *, null: float, alpha: float) -> Comparison:
    """The mean of values in [0, 1], in their order of arrival, against `null`."""
    lower, upper = betting_interval(values, alpha=alpha)
    n = len(values)
    return Comparison(
        estimate=math.fsum(values) / n if n else None,
        lower=lower,
        upper=upper,
        n=n,
        method="betting",
        alpha=alpha,
        null=null,
        log_e=float(log_wealth(values, null, alpha=alpha)[-1]) if n else 0.0,
        state=State.OK if n else State.NO_DATA,
        reason="" if n else "no values yet",
    )


def compare_paired(differences: Sequence[float], *, alpha: float) -> Comparison:
    """The mean of candidate minus baseline, each score in [0, 1] so that d is in [-1, 1]: betting on (d + 1)/2."""
    half = compare([(d + 1) / 2 for d in differences], null=0.5, alpha=alpha)
    return Comparison(
        estimate=None if half.estimate is None else 2 * half.estimate - 1,
        lower=2 * half.lower - 1,
        upper=2 * half.upper - 1,
        n=half.n,
        method=half.method,
        alpha=alpha,
        log_e=half.log_e,
        state=half.state,
        reason=half.reason.replace("values", "pairs"),
    )


def _checked(values: Sequence[float]) -> Floats:
    x = np.array(values, dtype=np.float64)
    if x.ndim != 1 or not bool(np.all((x >= 0) & (x <= 1))):
        raise InvalidInput("betting needs one row of values that all lie in [0, 1]; rescale them by bounds declared beforehand")
    return x
