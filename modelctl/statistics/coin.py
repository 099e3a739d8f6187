"""Is this share p0? The beta-binomial e-value, and the confidence sequence of one share.

Used for an absolute SLO, for discordant pairs (p0 = 1/2: a sequential McNemar test), for slow requests and noise.
Sources: Robbins (1970); Howard et al. (2021), beta-binomial mixture. Exact at every n for [0, 1] outcomes.
"""

import math

import numpy as np
from scipy.special import betaln, expit, logit, xlog1py, xlogy

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats, Numbers
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.roots import edge
from modelctl.statistics.tuning import COIN_CONCENTRATION, log_threshold

_END = 1e-12
"""Shares closer than this to 0 or 1 are not searched: an interval that reaches so far ends at 0 or 1."""


def log_e(k: Numbers, n: Numbers, *, p0: float, kappa: float = COIN_CONCENTRATION) -> Floats:
    """ln of the Beta(kappa p0, kappa (1 - p0)) mixture over the likelihood at p0, for k heads in n flips and 0 < p0 < 1."""
    heads, tails = kappa * p0, kappa * (1 - p0)
    mixture = betaln(heads + k, tails + n - k) - betaln(heads, tails)
    return np.asarray(mixture - xlogy(k, p0) - xlog1py(n - k, -p0), dtype=np.float64)


def interval(k: float, n: float, *, alpha: float, kappa: float = COIN_CONCENTRATION) -> tuple[float, float]:
    """All shares p whose log E, with the prior re-centred at p, is below ln(1/alpha). (0, 1) when n is 0.

    `k` may be a sum of outcomes in [0, 1]. No heads give lower 0, no tails give upper 1.
    """
    _check(k, n)
    if not n:
        return 0.0, 1.0
    threshold = log_threshold(alpha)

    def excess(log_odds: float) -> float:
        return float(log_e(k, n, p0=float(expit(log_odds)), kappa=kappa)) - threshold

    inside = float(logit(min(max(k / n, _END), 1 - _END)))
    end = float(logit(1 - _END))
    lower, upper = edge(excess, inside, outside=-end), edge(excess, inside, outside=end)
    return 0.0 if lower is None else float(expit(lower)), 1.0 if upper is None else float(expit(upper))


def compare(k: float, n: int, *, null: float, alpha: float, kappa: float = COIN_CONCENTRATION) -> Comparison:
    """One arm's share against the fixed share `null` (an SLO, or 1/2 for discordant pairs), 0 < null < 1."""
    if not 0 < null < 1:
        raise InvalidInput(f"the share to compare with is {null}; it must lie between 0 and 1, both excluded")
    lower, upper = interval(k, n, alpha=alpha, kappa=kappa)
    return Comparison(
        estimate=k / n if n else None,
        lower=lower,
        upper=upper,
        n=n,
        method="coin",
        alpha=alpha,
        null=null,
        log_e=float(log_e(float(k), float(n), p0=null, kappa=kappa)),
        state=State.OK if n else State.NO_DATA,
        reason="" if n else "no trials yet",
    )


def _check(k: float, n: float) -> None:
    if not (math.isfinite(n) and 0 <= k <= n):
        raise InvalidInput(f"{k} of {n} is not a share; both are counts, and the first is part of the second")
