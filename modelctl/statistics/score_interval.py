"""The score interval of a difference of two proportions at a fixed horizon: right also for rare events and small arms.

Source: Miettinen & Nurminen (1985), with their factor N/(N - 1). statsmodels (up to 0.15.0) writes x_a for n_a in one term of their
cubic, so its interval differs, on 56/70 against 48/80 by half a point; `as_statsmodels` gives its numbers, to compare reports with.
"""

import math
from collections.abc import Callable
from typing import Protocol

from scipy.optimize import brentq

from modelctl.statistics.difference import Proportion
from modelctl.statistics.fixed_horizon import Interval, critical
from modelctl.statistics.proportions import UNKNOWN_DIFFERENCE
from modelctl.statistics.roots import edge

# The smallest relative tolerance brentq accepts, and an absolute one that never stops it.
_RELATIVE = 8.881784197001252e-16
_ABSOLUTE = 1e-300
_TINY = 1e-290
"""A share of 0 in a denominator: its quotient with a count is huge and finite."""


class _Shares(Protocol):
    """The shares of both arms, the baseline's first, that fit a difference."""

    def __call__(self, baseline: Proportion, candidate: Proportion, *, difference: float) -> Interval: ...


def miettinen_nurminen(baseline: Proportion, candidate: Proportion, *, confidence: float = 0.95) -> Interval:
    """All differences p_b - p_a that a score test does not reject. (-1, 1) when an arm is empty."""
    if not (baseline.n and candidate.n):
        return UNKNOWN_DIFFERENCE
    gap = candidate.k / candidate.n - baseline.k / baseline.n
    excess = _excess(baseline, candidate, shares=_likeliest_shares, confidence=confidence)
    # Where no arm varies the variance at the estimate itself is 0; a small step away it is not.
    step = critical(confidence) ** 2 / (16 * (baseline.n + candidate.n))
    lower = edge(excess, max(gap - step, -1.0), outside=-1.0)
    upper = edge(excess, min(gap + step, 1.0), outside=1.0)
    return -1.0 if lower is None else lower, 1.0 if upper is None else upper


def as_statsmodels(baseline: Proportion, candidate: Proportion, *, confidence: float = 0.95) -> Interval | None:
    """What `confint_proportions_2indep(compare="diff", method="score")` gives. None without a root there, where it raises."""
    if not (baseline.n and candidate.n):
        return None
    gap = candidate.k / candidate.n - baseline.k / baseline.n
    excess = _excess(baseline, candidate, shares=_statsmodels_shares, confidence=confidence)
    wald = math.sqrt(sum(arm.k / arm.n * (arm.n - arm.k) / arm.n / arm.n for arm in (baseline, candidate)))
    low, high = gap - critical(confidence) * wald, gap + critical(confidence) * wald
    outer = (low - abs(low) / 4, min(high + abs(high) / 2, 0.99999))
    if not excess(gap) < 0 or any(not excess(end) > 0 for end in outer):
        return None
    lower, upper = (float(brentq(excess, gap, end, xtol=2e-12, rtol=_RELATIVE)) for end in outer)
    return lower, upper


def _excess(baseline: Proportion, candidate: Proportion, *, shares: _Shares, confidence: float) -> Callable[[float], float]:
    """Above 0 where the score test rejects a difference: the squared distance minus its critical value."""
    n = baseline.n + candidate.n
    factor = critical(confidence) ** 2 * n / max(n - 1, 1)
    gap = candidate.k / candidate.n - baseline.k / baseline.n

    def excess(difference: float) -> float:
        p_a, p_b = shares(baseline, candidate, difference=difference)
        return (gap - difference) ** 2 - factor * (p_a * (1 - p_a) / baseline.n + p_b * (1 - p_b) / candidate.n)

    return excess


def _likeliest_shares(baseline: Proportion, candidate: Proportion, *, difference: float) -> Interval:
    """The maximum-likelihood shares among those with this difference."""
    if difference < 0:
        p = _likeliest(candidate, baseline, gap=-difference)
        return min(p - difference, 1.0), p
    p = _likeliest(baseline, candidate, gap=difference)
    return p, min(p + difference, 1.0)


def _likeliest(low: Proportion, high: Proportion, *, gap: float) -> float:
    """The likeliest share of `low` when that of `high` is larger by `gap`: the root of a decreasing score."""

    def score(p: float) -> float:
        falling = _over(low.n - low.k, 1 - p) + _over(high.n - high.k, 1 - gap - p)
        return _over(low.k, p) + _over(high.k, p + gap) - falling

    end = 1 - gap
    if end <= 0 or score(0.0) <= 0:
        return 0.0
    return end if score(end) >= 0 else float(brentq(score, 0.0, end, xtol=_ABSOLUTE, rtol=_RELATIVE, maxiter=2000))


def _over(count: int, share: float) -> float:
    return count / max(share, _TINY) if count else 0.0


def _statsmodels_shares(baseline: Proportion, candidate: Proportion, *, difference: float) -> Interval:
    """The root of the cubic as statsmodels writes it, by its trigonometric form; the pooled share at no difference."""
    n, k = baseline.n + candidate.n, baseline.k + candidate.k
    if not difference:
        return k / n, k / n
    square = ((candidate.n + 2 * baseline.n) * difference - n - k) / (3 * n)
    linear = ((baseline.k * difference - n - 2 * baseline.k) * difference + k) / n
    q = square**3 - linear * square / 2 + baseline.k * difference * (1 - difference) / (2 * n)
    p = math.copysign(math.sqrt(max(square**2 - linear / 3, 0.0)), q)
    angle = math.acos(min(max(q / p**3, -1.0), 1.0)) if p else 0.0
    share = 2 * p * math.cos((math.pi + angle) / 3) - square
    return share, share + difference
