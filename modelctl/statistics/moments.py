"""Count, mean and sum of squared deviations: all that a mean needs, mergeable over any partition of the rows.

Source: Chan, Golub, LeVeque (1983), "Algorithms for computing the sample variance".
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce

from modelctl.errors import Corrupt, InvalidInput

_EPSILON = sys.float_info.epsilon
_CORRUPT = 1e-9
"""Relative to s2: a sum of squares more negative than this is no rounding."""


@dataclass(frozen=True, slots=True)
class Moments:
    """`n` values, their mean, and m2 = sum((x - mean)^2). With n = 0 the other two are 0 and mean nothing."""

    n: int = 0
    mean: float = 0.0
    m2: float = 0.0

    def __post_init__(self) -> None:
        if self.n < 0 or self.m2 < 0 or not math.isfinite(self.mean + self.m2):
            raise InvalidInput(f"{self} is not the summary of any values; keep NaN and infinity out of the sums")

    @property
    def variance(self) -> float | None:
        """The sample variance, with n - 1; None below two values."""
        return self.m2 / (self.n - 1) if self.n > 1 else None

    @property
    def constant(self) -> bool:
        """Whether two or more values show no spread beyond the rounding of their own mean. Scale-free: no absolute floor."""
        rounding = 4 * _EPSILON * self.mean
        return self.n > 1 and self.m2 <= self.n * (rounding * rounding)


def from_shifted_sums(n: int, s1: float, *, s2: float, pivot: float) -> Moments:
    """From s1 = sum(x - pivot) and s2 = sum((x - pivot)^2), pivot near the data. Summing unshifted squares loses the variance.

    m2 = s2 - s1^2/n. What is within the rounding of the sums becomes 0; raises Corrupt when m2 is below -1e-9 s2.
    """
    if n == 0 or not math.isfinite(s1 + s2):
        return _without_values(n, s1, s2=s2)
    m2 = s2 - s1 * s1 / n
    if m2 < -_CORRUPT * abs(s2) or s2 < 0:
        raise Corrupt(f"sums n={n}, s1={s1}, s2={s2} belong to no data: s2 is at least s1^2/n; rebuild the rollup from its rows")
    rounding = min(_CORRUPT, 4 * _EPSILON * n) * s2
    return Moments(n, pivot + s1 / n, m2 if m2 > rounding and n > 1 else 0.0)


def _without_values(n: int, s1: float, *, s2: float) -> Moments:
    if n or s1 or s2:
        raise Corrupt(f"sums n={n}, s1={s1}, s2={s2} belong to no data; keep NaN and infinity out of the rollup and rebuild it")
    return Moments()


def merge(first: Moments, second: Moments) -> Moments:
    """The moments of the union of two disjoint sets of values (Chan)."""
    n = first.n + second.n
    if not first.n or not second.n:
        return second if second.n else first
    gap = second.mean - first.mean
    mean = first.mean + gap * (second.n / n)
    return Moments(n, mean, first.m2 + second.m2 + gap * gap * (first.n * (second.n / n)))


def merge_all(parts: Iterable[Moments]) -> Moments:
    """The moments of the union of any number of parts, empty ones included."""
    return reduce(merge, parts, Moments())


def summary(values: Sequence[float]) -> Moments:
    """The moments of values at hand, with their first one as pivot. Raises InvalidInput unless all are finite."""
    if not all(map(math.isfinite, values)):
        raise InvalidInput("a mean needs finite values; count NaN and infinity as invalid and leave them out")
    pivot = values[0] if values else 0.0
    shifted = [value - pivot for value in values]
    return from_shifted_sums(len(shifted), math.fsum(shifted), s2=math.fsum(x * x for x in shifted), pivot=pivot)
