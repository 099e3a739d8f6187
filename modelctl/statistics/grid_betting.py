"""Is the candidate right more often than the baseline? An exact e-process for paired outcomes d in {-1, 0, +1}.

A gambler bets on d with 40 fixed fractions of the largest bet that cannot go bankrupt, and holds the average. Under
H0: E[d | past] <= theta0 the wealth is a supermartingale, so only counts enter, in any order, at any n, for any margin.
Source: Waudby-Smith & Ramdas (2023), "Estimating means of bounded random variables by betting", with a grid of bets.
"""

import math

import numpy as np
from scipy.special import logsumexp

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats, Numbers
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.roots import edge
from modelctl.statistics.tuning import log_threshold

FRACTIONS: Floats = np.geomspace(0.001, 0.999, 40)
"""The bets, as fractions of 1/(1 + theta0)."""

_END = 1 - 1e-12


def log_e_up(n_pos: Numbers, n_zero: Numbers, *, n_neg: Numbers, theta0: float) -> Floats:
    """ln of the wealth against H0: E[d] <= theta0, -1 < theta0 < 1. Counts may be arrays of one shape."""
    if not -1 < theta0 < 1:
        raise InvalidInput(f"theta0 is {theta0}; a mean of values in -1, 0, +1 to test against lies strictly between -1 and 1")
    bets = FRACTIONS / (1 + theta0)
    wealth = (
        np.multiply.outer(n_pos, np.log1p(bets * (1 - theta0)))
        + np.multiply.outer(n_zero, np.log1p(-bets * theta0))
        + np.multiply.outer(n_neg, np.log1p(-FRACTIONS))
    )
    average: Floats = logsumexp(wealth, axis=-1) - math.log(len(FRACTIONS))
    return average


def log_e_down(n_pos: Numbers, n_zero: Numbers, *, n_neg: Numbers, theta0: float) -> Floats:
    """ln of the wealth against H0: E[d] >= theta0: the same bets on -d."""
    return log_e_up(n_neg, n_zero, n_neg=n_pos, theta0=-theta0)


def compare(n_pos: int, n_zero: int, *, n_neg: int, alpha: float) -> Comparison:
    """The mean of d with its interval {theta: both wealths below 2/alpha}, against 0. Higher is better for the candidate.

    log E is half the larger wealth, so it reaches ln(1/alpha) exactly when 0 leaves the interval.
    """
    if min(n_pos, n_zero, n_neg) < 0:
        raise InvalidInput(f"counts of pairs are {n_pos}, {n_zero}, {n_neg}; none can be below 0")
    n = n_pos + n_zero + n_neg
    return Comparison(
        estimate=(n_pos - n_neg) / n if n else None,
        lower=_lower(n_pos, n_zero, n_neg=n_neg, alpha=alpha),
        upper=-_lower(n_neg, n_zero, n_neg=n_pos, alpha=alpha),
        n=n,
        method="grid-betting",
        alpha=alpha,
        log_e=evidence(n_pos, n_zero, n_neg=n_neg),
        state=State.OK if n else State.NO_DATA,
        reason="" if n else "no pairs yet",
    )


def evidence(n_pos: int, n_zero: int, *, n_neg: int) -> float:
    """The log E of `compare` alone, without its interval. 0 without pairs."""
    up, down = (float(bet(n_pos, n_zero, n_neg=n_neg, theta0=0.0)) for bet in (log_e_up, log_e_down))
    return max(up, down) - math.log(2) if n_pos + n_zero + n_neg else 0.0


def _lower(n_pos: int, n_zero: int, *, n_neg: int, alpha: float) -> float:
    """The smallest theta that the bets on d do not reject; -1 when none is rejected."""
    threshold = log_threshold(alpha / 2)
    n = n_pos + n_zero + n_neg
    if n_neg == n:
        return -1.0

    def excess(theta0: float) -> float:
        return float(log_e_up(n_pos, n_zero, n_neg=n_neg, theta0=theta0)) - threshold

    mean = (n_pos - n_neg) / n
    lower = edge(excess, min(mean, _END), outside=-_END)
    return -1.0 if lower is None else lower
