"""Means of two arms at a fixed horizon, from count, mean and m2 of each: Welch, uplift, pairs, ratios. Valid for one look only.

Sources: Welch (1947); Fieller (1954); the delta method as GrowthBook's gbstats 0.8.0 has it, `TwoSidedTTest`.
"""

import math
from dataclasses import dataclass

from modelctl.statistics.comparison import State
from modelctl.statistics.fixed_horizon import FixedHorizon, against_0, below, critical, without_error
from modelctl.statistics.moments import Moments


def welch(baseline: Moments, candidate: Moments, *, confidence: float = 0.95) -> FixedHorizon:
    """Candidate mean minus baseline mean, with Welch-Satterthwaite degrees of freedom. Needs two values in each arm."""
    method, n = "welch", baseline.n + candidate.n
    gap = candidate.mean - baseline.mean if baseline.n and candidate.n else None
    if gap is None or min(baseline.n, candidate.n) < 2:
        return without_error(gap, n=n, method=method, state=State.NO_DATA, reason="an arm has fewer than two values")
    a, b = _error2(baseline), _error2(candidate)
    df = _welch_df(a, b, baseline=baseline.n, candidate=candidate.n)
    return against_0(gap, math.sqrt(a + b), n=n, method=method, df=df, confidence=confidence)


def uplift(baseline: Moments, candidate: Moments, *, confidence: float = 0.95) -> FixedHorizon:
    """(candidate mean - baseline mean)/baseline mean by the delta method, degrees of freedom as in `welch`.

    The variance is v_b/m_a^2 + v_a m_b^2/m_a^4, v the variance of a mean. Degenerate when the baseline's mean is 0; wrong
    when that is within a few standard errors of 0, where `fieller` and `contrast` stay valid.
    """
    method, n = "delta", baseline.n + candidate.n
    m_a, m_b = baseline.mean, candidate.mean
    if not (baseline.n and candidate.n):
        return without_error(None, n=n, method=method, state=State.NO_DATA, reason="an arm has no values yet")
    ratio = m_b / m_a if m_a else math.inf
    if not math.isfinite(ratio):
        reason = "the baseline's mean is 0, so there is nothing to be relative to; use the difference"
        return without_error(None, n=n, method=method, state=State.DEGENERATE, reason=reason)
    if min(baseline.n, candidate.n) < 2:
        reason = "an arm has fewer than two values"
        return without_error((m_b - m_a) / m_a, n=n, method=method, state=State.NO_DATA, reason=reason)
    a, b = _error2(baseline), _error2(candidate)
    df = _welch_df(a, b, baseline=baseline.n, candidate=candidate.n)
    se = math.hypot(math.sqrt(b), math.sqrt(a) * ratio) / abs(m_a)
    return against_0((m_b - m_a) / m_a, se, n=n, method=method, df=df, confidence=confidence)


def paired_t(differences: Moments, *, confidence: float = 0.95) -> FixedHorizon:
    """The mean of candidate minus baseline over pairs. Needs two pairs."""
    if differences.n < 2:
        estimate = differences.mean if differences.n else None
        return without_error(estimate, n=differences.n, method="paired-t", state=State.NO_DATA, reason="fewer than two pairs")
    se = math.sqrt(_error2(differences))
    return against_0(differences.mean, se, n=differences.n, method="paired-t", df=differences.n - 1, confidence=confidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """Candidate mean over baseline mean. `ratio` is None when the baseline's mean is 0 or an arm is empty.

    Not `bounded`: the baseline's mean is within the error of 0, what the data exclude is no longer the outside of an interval,
    and the whole line is given.
    """

    ratio: float | None
    lower: float = -math.inf
    upper: float = math.inf
    bounded: bool = False
    state: State = State.OK


def fieller(baseline: Moments, candidate: Moments, *, confidence: float = 0.95) -> Ratio:
    """All r for which candidate mean - r baseline mean is within the normal error of 0: exact where the delta method is not."""
    if not (baseline.n and candidate.n):
        return Ratio(ratio=None, state=State.NO_DATA)
    m_a, m_b = baseline.mean, candidate.mean
    quotient = m_b / m_a if m_a else math.inf
    ratio = quotient if math.isfinite(quotient) else None
    if min(baseline.n, candidate.n) < 2:
        return Ratio(ratio=ratio, state=State.NO_DATA)
    v_a, v_b, z2 = _error2(baseline), _error2(candidate), critical(confidence) ** 2
    if ratio is None or not v_a + v_b:
        return Ratio(ratio=ratio, state=State.DEGENERATE)
    # In units of the baseline's mean: the roots of (1 - g) r^2 - 2 ratio r + ratio^2 - h.
    g, h = z2 * (v_a / m_a) / m_a, z2 * (v_b / m_a) / m_a
    spread = h * (1 - g) + ratio * ratio * g
    if g >= 1 or not math.isfinite(spread):
        return Ratio(ratio=ratio)
    far = ratio + math.copysign(math.sqrt(spread), ratio)
    ends = (far / (1 - g), (ratio * ratio - h) / far if far else 0.0)
    return Ratio(ratio=ratio, lower=min(ends), upper=max(ends), bounded=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """`theta` = candidate mean - (1 + delta) baseline mean with its normal error; `z` and the p are None without one.

    When lower is better, the candidate is proven not worse by more than the share delta at `p_below` < alpha; when higher is
    better, with a negative delta, at `p_above` < alpha.
    """

    theta: float | None
    se: float | None = None
    z: float | None = None
    p_below: float | None = None
    p_above: float | None = None
    state: State = State.OK


def contrast(baseline: Moments, candidate: Moments, *, delta: float) -> Contrast:
    """A relative margin without dividing by the baseline's mean, which may be near 0."""
    if not (baseline.n and candidate.n):
        return Contrast(theta=None, state=State.NO_DATA)
    theta = candidate.mean - (1 + delta) * baseline.mean
    if min(baseline.n, candidate.n) < 2:
        return Contrast(theta=theta, state=State.NO_DATA)
    se = math.sqrt(_error2(candidate) + (1 + delta) ** 2 * _error2(baseline))
    if not se:
        return Contrast(theta=theta, state=State.DEGENERATE)
    z = theta / se
    return Contrast(theta=theta, se=se, z=z, p_below=below(z), p_above=below(-z))


def _error2(arm: Moments) -> float:
    """The variance of the mean of two values or more; 0 when the values differ by no more than the rounding of their mean."""
    return 0.0 if arm.constant else arm.m2 / (arm.n - 1) / arm.n


def _welch_df(a: float, b: float, *, baseline: int, candidate: int) -> float | None:
    """From the variances of both means. Relative to their sum, so that no scale of the data underflows."""
    if not a + b:
        return None
    share_a, share_b = a / (a + b), b / (a + b)
    return 1 / (share_a**2 / (baseline - 1) + share_b**2 / (candidate - 1))
