"""Many tests at once: adjusted p-values for tables, e-values for fields and segments. Results stand in the order of the input.

Sources: Holm (1979); Benjamini & Hochberg (1995); Benjamini & Yekutieli (2001); Wang & Ramdas (2022), e-BH; Vovk & Wang (2021).
Evidence comes and goes as log E: E itself overflows.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats
from modelctl.statistics.tuning import log_threshold

_TIE = 1e-12
"""An e-value this close to its threshold, in logarithms, has reached it: the two were rounded apart."""


def bonferroni(p: Sequence[float]) -> list[float]:
    """m p: the probability of any false rejection stays below the level, under any dependence."""
    values = _checked(p)
    return _listed(values * len(values))


def holm(p: Sequence[float]) -> list[float]:
    """Step-down Bonferroni: the same promise, never larger."""
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    return _listed(_unsorted(stepped, order))


def benjamini_hochberg(p: Sequence[float]) -> list[float]:
    """The false discovery rate stays below the level when the tests are independent or positively dependent."""
    return _stepped_up(_checked(p), 1.0)


def benjamini_yekutieli(p: Sequence[float]) -> list[float]:
    """As Benjamini-Hochberg, under any dependence, at the price of the factor 1 + 1/2 + ... + 1/m."""
    return _stepped_up(_checked(p), math.fsum(1 / rank for rank in range(1, len(p) + 1)))


def e_bh(log_e: Sequence[float], *, alpha: float) -> list[int]:
    """The indices, ascending, that e-BH rejects: the k largest, for the largest k with e_(k) >= m/(alpha k).

    The false discovery rate stays below alpha under any dependence.
    """
    reached, order = _reached(log_e, [log_threshold(alpha) + math.log(len(log_e) / rank) for rank in range(1, len(log_e) + 1)])
    ranks = np.flatnonzero(reached)
    return sorted(order[: int(ranks[-1]) + 1]) if len(ranks) else []


def e_holm(log_e: Sequence[float], *, alpha: float) -> list[int]:
    """The indices, ascending, that step-down rejects: from the largest on, while e_(k) >= (m - k + 1)/alpha.

    The probability of any false rejection stays below alpha, under any dependence and at any look: it names the culprits.
    """
    reached, order = _reached(log_e, [log_threshold(alpha) + math.log(left) for left in range(len(log_e), 0, -1)])
    return sorted(order[: int(np.argmin(np.append(reached, False)))])


def mean_log_e(log_e: Sequence[float]) -> float:
    """ln of the mean of the e-values: an e-value for "something is wrong", under any dependence. Of none it is 0: no evidence."""
    values = _evidence(log_e)
    return float(logsumexp(values)) - math.log(len(values)) if np.isfinite(values).any() else max(log_e, default=0.0)


def _reached(log_e: Sequence[float], thresholds: Sequence[float]) -> tuple[NDArray[np.bool_], list[int]]:
    """Whether each e-value, from the largest on, reaches its threshold; and the indices in that order."""
    values = _evidence(log_e)
    order = np.argsort(-values, kind="stable")
    return values[order] >= np.array(thresholds, dtype=np.float64) - _TIE, [int(index) for index in order]


def _stepped_up(values: Floats, factor: float) -> list[float]:
    m = len(values)
    order = np.argsort(values, kind="stable")
    scaled = values[order] * factor * (m / np.arange(1, m + 1))
    return _listed(_unsorted(np.minimum.accumulate(scaled[::-1])[::-1], order))


def _unsorted(values: Floats, order: NDArray[np.intp]) -> Floats:
    placed = np.empty_like(values)
    placed[order] = values
    return placed


def _listed(values: Floats) -> list[float]:
    return [float(value) for value in np.minimum(values, 1.0)]


def _checked(p: Sequence[float]) -> Floats:
    values = np.array(p, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise InvalidInput(f"p-values lie between 0 and 1; among {list(p)} are others: leave out tests without a result")
    return values


def _evidence(log_e: Sequence[float]) -> Floats:
    values = np.array(log_e, dtype=np.float64)
    if np.isnan(values).any():
        raise InvalidInput("evidence cannot be NaN; leave out tests without a result")
    return values
