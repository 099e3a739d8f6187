"""Rank and sign tests of small samples at a fixed horizon, for the report. Valid for one look only.

A rank test says whether one arm's values tend to be larger. It is no test of means or medians.
Sources: Mann & Whitney (1947); Hodges & Lehmann (1963); Wilcoxon (1945); Pratt (1959). scipy's methods are named, because its
default turns from exact to asymptotic at a size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.stats import binomtest, mannwhitneyu, wilcoxon

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats
from modelctl.statistics.comparison import State

MAX_PAIRS = 10_000_000
"""Pairs of values of both arms that a Hodges-Lehmann estimate may look at: 80 MB."""


class ZeroRule(StrEnum):
    """What signed ranks do with pairs that are equal: rank them and then leave them out (Pratt), or forget them (Wilcoxon)."""

    PRATT = "pratt"
    WILCOX = "wilcox"


@dataclass(frozen=True, slots=True, kw_only=True)
class MannWhitney:
    """`u` counts the pairs in which the candidate's value is larger, a tie for half; `auc` is its share of all pairs.

    `shift` is the Hodges-Lehmann estimate: the median of candidate minus baseline over all pairs. `p` is two-sided, by the normal
    approximation with corrections for ties and continuity. All None without values;
    degenerate when all values are one.
    """

    u: float | None = None
    auc: float | None = None
    shift: float | None = None
    p: float | None = None
    state: State = State.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRanks:
    """`w` is the smaller of the rank sums of positive and of negative differences; `p` two-sided by the normal approximation,
    corrected for ties, not for continuity. `p` is None when no difference is left."""

    n: int
    w: float | None = None
    p: float | None = None
    state: State = State.OK


@dataclass(frozen=True, slots=True, kw_only=True)
class SignTest:
    """How often the candidate is higher and how often lower, and the exact two-sided p that this is a fair coin's."""

    n_positive: int
    n_negative: int
    p: float


def differences(baseline: Sequence[float], candidate: Sequence[float], *, decimals: int = 12) -> list[float]:
    """Candidate minus baseline of each pair, rounded so that ties are ties: 0.3 - 0.2 is 0.2 - 0.1."""
    if len(baseline) != len(candidate):
        raise InvalidInput(f"{len(baseline)} and {len(candidate)} values are not pairs; give one of each arm for each request")
    return [round(b - a, decimals) for a, b in zip(baseline, candidate, strict=True)]


def mann_whitney(baseline: Sequence[float], candidate: Sequence[float]) -> MannWhitney:
    """Do the candidate's values tend to be larger? Raises InvalidInput above MAX_PAIRS pairs, or for values that are not finite."""
    a, b = _finite(baseline), _finite(candidate)
    pairs = len(a) * len(b)
    if not pairs:
        return MannWhitney(state=State.NO_DATA)
    if pairs > MAX_PAIRS:
        raise InvalidInput(f"{len(a):,} and {len(b):,} values make more than {MAX_PAIRS:,} pairs; draw a sample of each arm")
    shift = float(np.median(np.subtract.outer(b, a)))
    if np.ptp(np.concatenate((a, b))) == 0:
        return MannWhitney(u=pairs / 2, auc=0.5, shift=shift, p=1.0, state=State.DEGENERATE)
    found = mannwhitneyu(b, a, alternative="two-sided", method="asymptotic", use_continuity=True)
    u = float(found.statistic)
    return MannWhitney(u=u, auc=u / pairs, shift=shift, p=min(float(found.pvalue), 1.0))


def signed_ranks(differences: Sequence[float], *, zeros: ZeroRule = ZeroRule.PRATT) -> SignedRanks:
    """Do paired differences lie around 0? Pratt's rule by default: equal answers are common, and forgetting them inflates n."""
    d = _finite(differences)
    if not len(d):
        return SignedRanks(n=0, state=State.NO_DATA)
    if not d.any():
        return SignedRanks(n=len(d), w=0.0, state=State.DEGENERATE)
    found = wilcoxon(
        d, zero_method="pratt" if zeros is ZeroRule.PRATT else "wilcox", correction=False, alternative="two-sided", method="approx"
    )
    return SignedRanks(n=len(d), w=float(found.statistic), p=min(float(found.pvalue), 1.0))


def sign_test(differences: Sequence[float]) -> SignTest:
    """Only the signs count. Without any that is not 0, p is 1."""
    d = _finite(differences)
    up, down = int((d > 0).sum()), int((d < 0).sum())
    return SignTest(n_positive=up, n_negative=down, p=min(float(binomtest(up, up + down, 0.5).pvalue), 1.0) if up + down else 1.0)


def _finite(values: Sequence[float]) -> Floats:
    array = np.array(values, dtype=np.float64)
    if not np.isfinite(array).all():
        raise InvalidInput("ranks need finite values; count NaN and infinity as invalid and leave them out")
    return array
