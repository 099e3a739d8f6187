"""How far two samples of numbers are apart: Kolmogorov-Smirnov and Wasserstein. Descriptive; valid for one look only.

Sources: Massey (1951); Hodges (1958) for the exact p, Smirnov (1939) for the asymptotic one. Ties make p too large, never small.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import kolmogorov
from scipy.stats import wasserstein_distance

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats

MAX_EXACT = 5_000
"""The longest sample whose exact p is computed; longer ones ask for the asymptotic one by name."""


@dataclass(frozen=True, slots=True)
class KolmogorovSmirnov:
    """`d` is the largest gap between the two distribution functions, 0..1. Both None when a sample is empty."""

    d: float | None = None
    p: float | None = None


def kolmogorov_smirnov(reference: Sequence[float], current: Sequence[float], *, exact: bool = True) -> KolmogorovSmirnov:
    """The largest gap with its two-sided p. Raises InvalidInput when an exact p is asked of more than MAX_EXACT values."""
    a, b = _finite(reference), _finite(current)
    if not (len(a) and len(b)):
        return KolmogorovSmirnov()
    if exact and max(len(a), len(b)) > MAX_EXACT:
        raise InvalidInput(f"an exact p is computed up to {MAX_EXACT:,} values a side; ask for the asymptotic one, or sample")
    gap, pairs = _largest_gap(a, b), len(a) * len(b)
    d = gap / pairs
    p = _exact_p(len(a), len(b), gap=gap) if exact else float(kolmogorov(d * math.sqrt(pairs / (len(a) + len(b)))))
    return KolmogorovSmirnov(d, min(max(p, 0.0), 1.0))


def _largest_gap(a: Floats, b: Floats) -> int:
    """The largest gap times the number of pairs: a whole number, so that equal gaps are equal."""
    both = np.concatenate((a, b))
    below_a, below_b = (np.searchsorted(np.sort(side), both, side="right") for side in (a, b))
    return int(np.abs(below_a * len(b) - below_b * len(a)).max())


def _exact_p(n: int, m: int, *, gap: int) -> float:
    """The share of lattice paths from (0, 0) to (n, m) that reach a gap of at least this, from step to step.

    Only sums of shares, so that small ones keep their digits. scipy's exact method turns to the asymptotic one when its p rounds
    to more than 1.
    """
    reached = np.zeros(n + 2)  # by x, after a column that stays 0; a path of s steps that is at x is at y = s - x
    for steps in range(1, n + m + 1):
        x = np.arange(max(0, steps - m), min(steps, n) + 1)
        y = steps - x
        share = (x * reached[x] + y * reached[x + 1]) / steps
        share[np.abs(x * m - y * n) >= gap] = 1.0
        reached[x + 1] = share
    return float(reached[n + 1]) if gap else 1.0


def wasserstein(reference: Sequence[float], current: Sequence[float]) -> float | None:
    """The mean distance by which values must move to turn one sample into the other, in their units. None when one is empty."""
    a, b = _finite(reference), _finite(current)
    return float(wasserstein_distance(a, b)) if len(a) and len(b) else None


def binned_wasserstein(values: Sequence[float], reference: Sequence[int], *, current: Sequence[int]) -> float | None:
    """The same from counts of bins, each standing at its one of the `values`. None when a side is empty."""
    at, a, b = _finite(values), _finite(reference), _finite(current)
    if not len(at) == len(a) == len(b) or min((*reference, *current), default=0) < 0:
        raise InvalidInput("each bin has one value and one count of 0 or more on each side")
    return float(wasserstein_distance(at, at, a, b)) if a.sum() and b.sum() else None


def _finite(values: Sequence[float]) -> Floats:
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InvalidInput("a distance needs finite values; count NaN and infinity as invalid and leave them out")
    return array
