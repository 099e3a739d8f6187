"""Quantiles from log buckets: for display. A verdict on latency counts requests slower than a fixed threshold instead.

The buckets are those of `modelctl.latency`. Source: Howard & Ramdas (2022), "Sequential estimation of quantiles", with the
coin's mixture.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

import numpy as np
from scipy.special import bdtr, bdtrc, ndtri

from modelctl.errors import InvalidInput
from modelctl.latency import ACCURACY, bucket_value, growth
from modelctl.statistics import coin
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.tuning import COIN_CONCENTRATION, log_threshold


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts per bucket index of the values above 0, of zeros, and of the values below 0 by their magnitude's index."""

    positive: Mapping[int, int]
    zero: int = 0
    negative: Mapping[int, int] = field(default_factory=dict)
    accuracy: float = ACCURACY

    def __post_init__(self) -> None:
        if min((*self.positive.values(), self.zero, *self.negative.values())) < 0:
            raise InvalidInput("a bucket has a count below 0; a histogram adds up what was seen")

    @property
    def n(self) -> int:
        """All values counted."""
        return sum(self.positive.values()) + self.zero + sum(self.negative.values())

    def buckets(self) -> list["Bucket"]:
        """The buckets that hold something, in the order of their values."""
        gamma = growth(self.accuracy)
        below = [(-index, count) for index, count in self.negative.items()]
        buckets = [
            Bucket(-(gamma**-key), -bucket_value(-key, self.accuracy), -(gamma ** (-key - 1)), count)
            for key, count in sorted(below)
        ]
        buckets.append(Bucket(0.0, 0.0, 0.0, self.zero))
        buckets += [
            Bucket(gamma ** (key - 1), bucket_value(key, self.accuracy), gamma**key, count)
            for key, count in sorted(self.positive.items())
        ]
        return [bucket for bucket in buckets if bucket.count]


@dataclass(frozen=True, slots=True)
class Bucket:
    """`count` values from `low` to `high`; `value` stands for them."""

    low: float
    value: float
    high: float
    count: int


def quantile(histogram: Histogram, q: float) -> float | None:
    """The value of the first bucket whose cumulative count is above q (n - 1); None without values."""
    rank = _checked(q) * (histogram.n - 1)
    buckets = histogram.buckets()
    cumulative = accumulate(bucket.count for bucket in buckets)
    return next((bucket.value for bucket, seen in zip(buckets, cumulative, strict=True) if seen > rank), None)


def enough(n: int, q: float, *, confidence: float = 0.95) -> bool:
    """Whether n values carry an interval for quantile q: n > z^2 max(q/(1-q), (1-q)/q), 381 for p99."""
    odds = _checked(q) / (1 - q)
    return n > float(ndtri((1 + confidence) / 2)) ** 2 * max(odds, 1 / odds)


def order_statistic_ranks(n: int, q: float, *, confidence: float = 0.95) -> tuple[int | None, int | None]:
    """The 1-based ranks of the sorted values that bound quantile q, for one look; None where no value does.

    Source: Conover (1999), section 3.2, as in scipy.stats.quantile_test.
    """
    tail = (1 - confidence) / 2
    _checked(q)
    low = _first(lambda k: bool(bdtr(k, n, q) >= tail), n)
    high = _first(lambda k: bool(bdtrc(k, n, q) <= tail), n) + 1
    return low if low > 0 else None, high if high <= n else None


def interval(histogram: Histogram, q: float, *, alpha: float, kappa: float = COIN_CONCENTRATION) -> tuple[float, float]:
    """The always-valid interval of quantile q: from the last edge with surely less than q below it to the first with surely more.

    The share of values at or below the true quantile is a coin with p0 = q, so one e-process covers every edge.
    """
    threshold, buckets, n = log_threshold(alpha), histogram.buckets(), float(histogram.n)
    ends = [0, *accumulate(bucket.count for bucket in buckets)]
    edges = [edge for bucket in buckets for edge in (bucket.low, bucket.high)]
    below = np.array([seen for pair in pairwise(ends) for seen in pair], dtype=np.float64)
    rejected = coin.log_e(below, np.full_like(below, n), p0=_checked(q), kappa=kappa) >= threshold
    low = [edge for edge, out, seen in zip(edges, rejected, below, strict=True) if out and seen < q * n]
    high = [edge for edge, out, seen in zip(edges, rejected, below, strict=True) if out and seen > q * n]
    return max(low, default=-math.inf), min(high, default=math.inf)


def compare(baseline: Histogram, candidate: Histogram, *, q: float, alpha: float) -> Comparison:
    """Candidate's quantile minus baseline's: [L_b - U_a, U_b - L_a], each arm at alpha/2. For display: it claims no evidence."""
    a, b = quantile(baseline, q), quantile(candidate, q)
    low_a, high_a = interval(baseline, q, alpha=alpha / 2)
    low_b, high_b = interval(candidate, q, alpha=alpha / 2)
    known = bool(baseline.n and candidate.n)
    return Comparison(
        estimate=b - a if a is not None and b is not None else None,
        lower=low_b - high_a,
        upper=high_b - low_a,
        n=baseline.n + candidate.n,
        method="quantile",
        alpha=alpha,
        state=State.OK if known else State.NO_DATA,
        reason="" if known else "an arm has no values yet",
    )


def _first(holds: Callable[[int], bool], n: int) -> int:
    """The smallest k in 0..n for which `holds`, which stays true once it is; n when it never is."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _checked(q: float) -> float:
    if not 0 < q < 1:
        raise InvalidInput(f"the quantile is {q}; give a share between 0 and 1, 0.99 for p99")
    return q
