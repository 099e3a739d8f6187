"""A band around the whole distribution function, valid at every look: for figures of latency, and for the distance of two arms.

Source: Howard & Ramdas (2022), "Sequential estimation of quantiles", theorem 2 (law of the iterated logarithm, A = 0.85);
Dvoretzky, Kiefer, Wolfowitz (1956) with Massart's constant for one look.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from scipy.optimize import brentq, minimize_scalar

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.quantiles import Histogram
from modelctl.statistics.tuning import log_threshold

SCALE = 0.85
"""A: the band's width in units of sqrt(ln ln t/t), above 1/sqrt(2)."""

FIRST_LOOK = 100.0
"""t_min: before so many values there is no band."""


@lru_cache(maxsize=64)
def constant(alpha: float) -> float:
    """C: the smallest for which the chance ever to leave the band, bounded for the best eta, is `alpha`."""
    log_threshold(alpha)
    high = 5.0
    while _log_miss(high) > math.log(alpha):
        high *= 2
    return float(brentq(lambda c: _log_miss(c) - math.log(alpha), high / 2 if high > 5 else 1.0, high, xtol=1e-13))


def _log_miss(c: float) -> float:
    """ln of the least 4 exp(-g2 C) (1 + 1/((g2 - 1) ln eta)) over eta > 1 with g2 > 1."""

    def reach(eta: float) -> float:
        return math.sqrt(eta / 2) + math.sqrt(2 * (eta - 1) / c) - SCALE

    def log_miss(eta: float) -> float:
        squared = 2 / eta * (SCALE - math.sqrt(2 * (eta - 1) / c)) ** 2
        if squared <= 1 or eta <= 1:
            return math.inf
        return math.log(4) - squared * c + math.log1p(1 / ((squared - 1) * math.log(eta)))

    last = float(brentq(reach, 1.0, 2 * SCALE * SCALE, xtol=1e-15))
    return float(minimize_scalar(log_miss, bounds=(1.0, last), method="bounded", options={"xatol": 1e-12}).fun)


def half_width(t: float, *, alpha: float, t_min: float = FIRST_LOOK) -> float:
    """0.85 sqrt((ln(1 + ln(t/t_min)) + C)/t) after `t` values: at every look and every x at once. inf below `t_min`."""
    if not t_min >= 1:
        raise InvalidInput(f"t_min is {t_min}; a band can begin at the first value at the earliest")
    return SCALE * math.sqrt((math.log1p(math.log(t / t_min)) + constant(alpha)) / t) if t >= t_min else math.inf


def fixed_half_width(n: int, *, alpha: float) -> float:
    """sqrt(ln(2/alpha)/(2 n)): for one look at `n` values, n > 0."""
    return math.sqrt(log_threshold(alpha / 2) / (2 * n))


@dataclass(frozen=True, slots=True)
class Point:
    """The share of values at or below `x`, and the band around it."""

    x: float
    share: float
    lower: float
    upper: float


def band(histogram: Histogram, *, alpha: float, t_min: float = FIRST_LOOK) -> list[Point]:
    """The empirical distribution function at the upper edges of its buckets, with its band. Give each of two arms alpha/2."""
    n, buckets = histogram.n, histogram.buckets()
    width = half_width(n, alpha=alpha, t_min=t_min)
    shares = [seen / n for seen in accumulate(bucket.count for bucket in buckets)]
    return [
        Point(bucket.high, share, max(0.0, share - width), min(1.0, share + width))
        for bucket, share in zip(buckets, shares, strict=True)
    ]


def compare(baseline: Histogram, candidate: Histogram, *, alpha: float, t_min: float = FIRST_LOOK) -> Comparison:
    """The largest distance of the two distribution functions (Kolmogorov-Smirnov), each arm's band at alpha/2. 0: the same.

    On buckets: a shift within one bucket is not seen. Descriptive, it claims no evidence.
    """
    n = min(baseline.n, candidate.n)
    distance = _distance(baseline, candidate) if n else None
    width = half_width(baseline.n, alpha=alpha / 2, t_min=t_min) + half_width(candidate.n, alpha=alpha / 2, t_min=t_min)
    early = "an arm has no values yet" if not n else f"{n} values in the smaller arm, {t_min:g} are needed"
    usable = n >= t_min
    return Comparison(
        estimate=distance,
        lower=max(0.0, distance - width) if usable and distance is not None else 0.0,
        upper=min(1.0, distance + width) if usable and distance is not None else 1.0,
        n=baseline.n + candidate.n,
        method="kolmogorov-smirnov",
        alpha=alpha,
        state=State.OK if usable else State.GATE if n else State.NO_DATA,
        reason="" if usable else early,
    )


def _distance(baseline: Histogram, candidate: Histogram) -> float:
    edges = sorted({bucket.high for arm in (baseline, candidate) for bucket in arm.buckets()})
    shares = [_shares(arm, edges) for arm in (baseline, candidate)]
    return float(max(abs(b - a) for a, b in zip(shares[0], shares[1], strict=True)))


def _shares(arm: Histogram, edges: Sequence[float]) -> list[float]:
    counts = {bucket.high: bucket.count for bucket in arm.buckets()}
    return [seen / arm.n for seen in accumulate(counts.get(edge, 0) for edge in edges)]
