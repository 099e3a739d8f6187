"""Have two groups of the same stream the same share, whatever it is? An e-value for a null that is a whole line of shares.

For each share p the likelihood averaged over a Beta(1/2, 1/2) prior of each group, divided by that at p, is a martingale. Dividing
by the largest likelihood that any common p has gives less than each of them, so E stays an e-value at every look, in any order of
the rows, for groups of any size. A coin against the overall share would not be one: that share is estimated from the same rows.
Sources: Wasserman, Ramdas, Balakrishnan (2020), universal inference, section 8; Krichevsky & Trofimov (1981) for the prior.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import betaln, xlogy

from modelctl.statistics import coin
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.difference import Proportion

_PRIOR = 0.5


@dataclass(frozen=True, slots=True)
class Groups:
    """Both groups in a period in which the share is taken to be constant: `part`, and the `rest` it is compared with."""

    part: Proportion
    rest: Proportion


def log_e(groups: Groups) -> float:
    """The evidence that the two shares differ; 0 or less while a group is empty."""
    n, k = groups.part.n + groups.rest.n, groups.part.k + groups.rest.k
    common = float(xlogy(k, k / n) + xlogy(n - k, (n - k) / n)) if n else 0.0
    return _averaged(groups.part) + _averaged(groups.rest) - common


def evidence(periods: Sequence[Groups]) -> float:
    """The log E of `compare` alone, without its interval. 0 with nothing to compare."""
    return math.fsum(log_e(one) for one in periods if one.part.n and one.rest.n)


def compare(periods: Sequence[Groups], *, alpha: float) -> Comparison:
    """The share of the part minus that of the rest. Each period may have its own common share: their evidence is added.

    The interval is the difference of both shares' own exact ones, at half the level each, over all periods.
    """
    both = [one for one in periods if one.part.n and one.rest.n]
    part, rest = (_whole([getattr(one, name) for one in both]) for name in ("part", "rest"))
    if not both:
        return Comparison(
            estimate=None, n=0, method="equal-shares", alpha=alpha, state=State.NO_DATA, reason="nothing to compare with"
        )
    (low, high), (rest_low, rest_high) = (coin.interval(one.k, one.n, alpha=alpha / 2) for one in (part, rest))
    return Comparison(
        estimate=part.k / part.n - rest.k / rest.n,
        lower=low - rest_high,
        upper=high - rest_low,
        n=part.n,
        method="equal-shares",
        alpha=alpha,
        log_e=evidence(both),
    )


def _averaged(group: Proportion) -> float:
    return float(betaln(group.k + _PRIOR, group.n - group.k + _PRIOR) - betaln(_PRIOR, _PRIOR))


def _whole(groups: Sequence[Proportion]) -> Proportion:
    return Proportion(sum(one.n for one in groups), sum(one.k for one in groups))
