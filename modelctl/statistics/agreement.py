"""How two arms label the same requests: rows of a table are the baseline's labels, columns the candidate's.

Sources: Cohen (1960); Fleiss, Cohen, Everitt (1969) for kappa's standard errors; Stuart (1955), Maxwell (1970); Bowker (1948).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import chdtrc, ndtri

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats
from modelctl.statistics.comparison import State

Table = Sequence[Sequence[int]]
"""A square table of counts, labels in one order on both sides."""


class Weights(StrEnum):
    """How much a near miss counts: not at all, or by its distance on an ordinal scale."""

    NONE = "none"
    LINEAR = "linear"
    QUADRATIC = "quadratic"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kappa:
    """Agreement beyond chance, with its fixed-horizon interval. All but `share` and `n` are None unless `state` is OK.

    `share` is the plain share of equal labels: always show it beside kappa, which is low on nearly constant labels.
    """

    n: int
    share: float | None
    kappa: float | None = None
    se: float | None = None
    se_null: float | None = None
    lower: float | None = None
    upper: float | None = None
    state: State = State.OK
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ChiSquare:
    """A statistic, its degrees of freedom and p. Nothing to test is (0, 0, 1)."""

    statistic: float
    df: int
    p: float


def cohen_kappa(table: Table, *, weights: Weights = Weights.NONE, confidence: float = 0.95) -> Kappa:
    """Cohen's kappa with asymptotic standard errors. Degenerate when both arms use one and the same label throughout."""
    counts = _counts(table)
    n = int(counts.sum())
    if not n:
        return Kappa(n=0, share=None, state=State.NO_DATA, reason="no pairs yet")
    p, scores = counts / n, _scores(len(counts), weights)
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    share, chance = float(np.trace(p)), float(rows @ scores @ columns)
    if np.count_nonzero(rows) == 1 and np.array_equal(rows, columns):
        return Kappa(n=n, share=share, state=State.DEGENERATE, reason=f"both arms gave one label to all {n:,} pairs")
    kappa = (float((scores * p).sum()) - chance) / (1 - chance)
    mean = (scores @ columns)[:, None] + (rows @ scores)[None, :]
    spread = float((p * (scores - mean * (1 - kappa)) ** 2).sum()) - (kappa - chance * (1 - kappa)) ** 2
    null = float((np.outer(rows, columns) * (scores - mean) ** 2).sum()) - chance**2
    se, se_null = (math.sqrt(max(part, 0.0) / n) / (1 - chance) for part in (spread, null))
    half = float(ndtri((1 + confidence) / 2)) * se
    return Kappa(n=n, share=share, kappa=kappa, se=se, se_null=se_null, lower=kappa - half, upper=kappa + half)


def stuart_maxwell(table: Table) -> ChiSquare:
    """Do both arms use the labels equally often? Degrees of freedom: the rank of the covariance, labels - 1 when all move."""
    counts = _counts(table)
    moved = counts + counts.T
    np.fill_diagonal(moved, 0.0)
    gap = counts.sum(axis=1) - counts.sum(axis=0)
    covariance = np.diag(moved.sum(axis=1)) - moved
    df = int(np.linalg.matrix_rank(covariance, hermitian=True)) if moved.any() else 0
    return _chi_square(float(gap @ np.linalg.pinv(covariance, hermitian=True) @ gap), df)


def bowker(table: Table) -> ChiSquare:
    """Is the table symmetric: as many x turned to y as y to x? One degree of freedom for each pair of labels that was exchanged."""
    counts = _counts(table)
    upper = np.triu_indices(len(counts), 1)
    there, back = counts[upper], counts.T[upper]
    used = there + back > 0
    terms = (there - back)[used] ** 2 / (there + back)[used]
    return _chi_square(float(terms.sum()), int(used.sum()))


def _chi_square(statistic: float, df: int) -> ChiSquare:
    return ChiSquare(statistic, df, float(chdtrc(df, statistic))) if df else ChiSquare(0.0, 0, 1.0)


def _counts(table: Table) -> Floats:
    counts = np.array(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise InvalidInput("a table of labels is square, with counts of 0 or more; give both arms the same labels in one order")
    return counts


def _scores(labels: int, weights: Weights) -> Floats:
    if weights is Weights.NONE:
        return np.eye(labels)
    distance = np.abs(np.subtract.outer(np.arange(labels), np.arange(labels))) / max(labels - 1, 1)
    scores: Floats = 1 - distance ** (1 if weights is Weights.LINEAR else 2)
    return scores
