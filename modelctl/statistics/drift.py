"""How far two distributions are apart: descriptive, never a gate alone. `reference` and `current` are counts of the same bins.

Bins are fixed from the reference before the start. To decide something, use `arm_given_event` for each label or bin.
Sources: Lin (1991) for JS; Cramér (1946); Massey (1951) for KS. PSI's 0.1 and 0.25 are habits, not tests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, rel_entr, xlogy

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats

Counts = Sequence[int]
_SMOOTHING = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Association:
    """Pearson's chi-square and the likelihood ratio G of a table of two rows, with p; `cramers_v` in 0..1.

    Bins that are empty on both sides do not count. With fewer than two bins left there is nothing to test: 0, p 1, V 0.
    """

    chi2: float
    chi2_p: float
    g: float
    g_p: float
    df: int
    cramers_v: float


def psi(reference: Counts, current: Counts) -> float | None:
    """Population stability index, natural log, with 0.5 added to each bin's count. None when a side is empty."""
    a, b = _bins(reference, current)
    if not (a.sum() and b.sum()):
        return None
    p, q = ((side + _SMOOTHING) / (side.sum() + _SMOOTHING * len(side)) for side in (a, b))
    return float(((q - p) * np.log(q / p)).sum())


def expected_psi(reference: Counts, current: Counts) -> float | None:
    """What PSI is on average when nothing changed, about (k - 1)(1/n_a + 1/n_b): always show it beside PSI."""
    a, b = _bins(reference, current)
    n_a, n_b = float(a.sum()), float(b.sum())
    return (len(a) - 1) * (1 / n_a + 1 / n_b) if n_a and n_b else None


def jensen_shannon(reference: Counts, current: Counts) -> float | None:
    """The divergence in bits, 0..1: the square of scipy's `jensenshannon` distance. None when a side is empty."""
    a, b = _bins(reference, current)
    if not (a.sum() and b.sum()):
        return None
    p, q = a / a.sum(), b / b.sum()
    middle = (p + q) / 2
    nats = float(rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return min(max(nats / math.log(2), 0.0), 1.0)


def total_variation(reference: Counts, current: Counts) -> float | None:
    """Half the sum of the absolute differences of shares, 0..1: the share that changed its bin. None when a side is empty."""
    a, b = _bins(reference, current)
    return float(np.abs(a / a.sum() - b / b.sum()).sum()) / 2 if a.sum() and b.sum() else None


def association(reference: Counts, current: Counts) -> Association:
    """Chi-square and G without continuity correction, and Cramér's V = sqrt(chi2/N)."""
    table = np.stack(_bins(reference, current))
    table = table[:, table.sum(axis=0) > 0]
    rows, columns, n = table.sum(axis=1, keepdims=True), table.sum(axis=0, keepdims=True), float(table.sum())
    df = table.shape[1] - 1
    if df < 1 or not rows.all():
        return Association(chi2=0.0, chi2_p=1.0, g=0.0, g_p=1.0, df=0, cramers_v=0.0)
    expected = rows * (columns / n)
    chi2 = float(((table - expected) ** 2 / expected).sum())
    g = max(2 * float(xlogy(table, table / expected).sum()), 0.0)
    v = min(math.sqrt(chi2 / n), 1.0)
    return Association(chi2=chi2, chi2_p=float(chdtrc(df, chi2)), g=g, g_p=float(chdtrc(df, g)), df=df, cramers_v=v)


def _bins(reference: Counts, current: Counts) -> tuple[Floats, Floats]:
    a, b = np.array(reference, dtype=np.float64), np.array(current, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1 or not a.size:
        raise InvalidInput(f"{a.size} and {b.size} bins cannot be compared; count both sides in the same bins, at least one")
    if not (np.isfinite(a).all() and np.isfinite(b).all() and a.min() >= 0 and b.min() >= 0):
        raise InvalidInput("a bin's count is 0 or more")
    return a, b
