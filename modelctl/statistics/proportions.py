"""One proportion and two at a fixed horizon: intervals, tests, ratio. Valid for one look only.

Sources: Wilson (1927); Clopper & Pearson (1934); Newcombe (1998), method 10; Fisher (1934); Katz et al. (1978).
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betainccinv, betaincinv
from scipy.stats import fisher_exact

from modelctl.statistics.comparison import State
from modelctl.statistics.difference import Proportion
from modelctl.statistics.fixed_horizon import FixedHorizon, Interval, against_0, below, critical, without_error

UNKNOWN_SHARE: Interval = (0.0, 1.0)
UNKNOWN_DIFFERENCE: Interval = (-1.0, 1.0)


def wilson(arm: Proportion, *, confidence: float = 0.95) -> Interval:
    """The score interval of one share, without continuity correction. (0, 1) without units.

    The ends are the roots of (n + z^2) p^2 - (2k + z^2) p + k^2/n. The lower one comes from their product: nothing cancels.
    """
    if not arm.n:
        return UNKNOWN_SHARE
    n, k, z2 = float(arm.n), float(arm.k), critical(confidence) ** 2
    upper = (2 * k + z2 + math.sqrt(z2 * (z2 + 4 * k * ((n - k) / n)))) / (2 * (n + z2))
    lower = (k / n) * k / ((n + z2) * upper)
    return lower, 1.0 if arm.k == arm.n else min(upper, 1.0)


def clopper_pearson(arm: Proportion, *, confidence: float = 0.95) -> Interval:
    """The exact interval of one share: never below its level. (0, 1) without units."""
    critical(confidence)
    tail, k, rest = (1 - confidence) / 2, arm.k, arm.n - arm.k
    lower = float(betaincinv(k, rest + 1, tail)) if k else 0.0
    return lower, float(betainccinv(k + 1, rest, tail)) if rest else 1.0


def wald(baseline: Proportion, candidate: Proportion, *, confidence: float = 0.95) -> FixedHorizon:
    """p_b - p_a with the unpooled standard error. Degenerate when neither arm varies: use `newcombe` there."""
    method, n = "wald", baseline.n + candidate.n
    if not (baseline.n and candidate.n):
        return without_error(None, n=n, method=method, state=State.NO_DATA, reason="an arm has no units yet")
    return against_0(_gap(baseline, candidate), _wald_error(baseline, candidate), n=n, method=method, confidence=confidence)


@dataclass(frozen=True, slots=True)
class ZTest:
    """The pooled z and its two-sided p; None when an arm is empty, or when no unit had the event, or all had."""

    z: float | None = None
    p: float | None = None


def pooled_z(baseline: Proportion, candidate: Proportion) -> ZTest:
    """Are the two shares equal? With the variance under that hypothesis, of both arms together."""
    n, k = baseline.n + candidate.n, baseline.k + candidate.k
    if not (baseline.n and candidate.n) or k in (0, n):
        return ZTest()
    z = _gap(baseline, candidate) / math.sqrt((k / n) * ((n - k) / n) * (1 / baseline.n + 1 / candidate.n))
    return ZTest(z, 2 * below(-abs(z)))


def newcombe(baseline: Proportion, candidate: Proportion, *, confidence: float = 0.95) -> Interval:
    """The interval of p_b - p_a from the Wilson limits of both arms (hybrid score). (-1, 1) when an arm is empty."""
    if not (baseline.n and candidate.n):
        return UNKNOWN_DIFFERENCE
    a, b, gap = baseline.k / baseline.n, candidate.k / candidate.n, _gap(baseline, candidate)
    (low_a, high_a), (low_b, high_b) = wilson(baseline, confidence=confidence), wilson(candidate, confidence=confidence)
    return max(gap - math.hypot(b - low_b, high_a - a), -1.0), min(gap + math.hypot(high_b - b, a - low_a), 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fisher:
    """Exact p-values given both margins: `p` is two-sided by minimum likelihood. All are 1 when a margin is 0."""

    p: float
    p_candidate_greater: float
    p_candidate_less: float


def fisher(baseline: Proportion, candidate: Proportion) -> Fisher:
    """Are the two shares equal? For sparse tables, where a normal approximation fails."""
    if not (baseline.n and candidate.n) or baseline.k + candidate.k in (0, baseline.n + candidate.n):
        return Fisher(p=1.0, p_candidate_greater=1.0, p_candidate_less=1.0)
    table = np.array([[candidate.k, candidate.n - candidate.k], [baseline.k, baseline.n - baseline.k]])
    two, greater, less = (float(fisher_exact(table, alternative=side).pvalue) for side in ("two-sided", "greater", "less"))
    return Fisher(p=two, p_candidate_greater=greater, p_candidate_less=less)


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskRatio:
    """p_b/p_a with Katz's log interval. `ratio` is None when neither arm had events, inf when only the candidate had.

    The interval is (0, inf) when an arm is empty or without events, or when all units of both had the event: the log has no error.
    """

    ratio: float | None
    lower: float = 0.0
    upper: float = math.inf
    state: State = State.OK


def risk_ratio(baseline: Proportion, candidate: Proportion, *, confidence: float = 0.95) -> RiskRatio:
    """The candidate's share of events over the baseline's."""
    if not (baseline.n and candidate.n):
        return RiskRatio(ratio=None, state=State.NO_DATA)
    if not (baseline.k and candidate.k):
        ratio = 0.0 if baseline.k else math.inf if candidate.k else None
        return RiskRatio(ratio=ratio, state=State.DEGENERATE)
    ratio = (candidate.k / candidate.n) / (baseline.k / baseline.n)
    variance = sum((arm.n - arm.k) / arm.n / arm.k for arm in (baseline, candidate))
    if not variance:
        return RiskRatio(ratio=ratio, state=State.DEGENERATE)
    factor = math.exp(critical(confidence) * math.sqrt(variance))
    return RiskRatio(ratio=ratio, lower=ratio / factor, upper=ratio * factor)


def _gap(baseline: Proportion, candidate: Proportion) -> float:
    """p_b - p_a of arms with units. From whole numbers, so that equal shares differ by exactly 0."""
    return (candidate.k * baseline.n - baseline.k * candidate.n) / (baseline.n * candidate.n)


def _wald_error(baseline: Proportion, candidate: Proportion) -> float:
    return math.sqrt(sum((arm.k / arm.n) * ((arm.n - arm.k) / arm.n) / arm.n for arm in (baseline, candidate)))
