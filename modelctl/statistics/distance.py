"""How far two samples of numbers are apart: Kolmogorov-Smirnov and Wasserstein. Descriptive; valid for one look only.

Sources: Massey (1951); Hodges (1958) for the exact p. Ties make the exact p too large, never too small.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ks_2samp, wasserstein_distance

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats

MAX_EXACT = 10_000
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
    found = ks_2samp(a, b, alternative="two-sided", method="exact" if exact else "asymp")
    return KolmogorovSmirnov(float(found.statistic), min(max(float(found.pvalue), 0.0), 1.0))


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
