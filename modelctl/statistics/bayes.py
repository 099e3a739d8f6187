"""Bayesian numbers for display only: stopping when a chance to win passes 95 % is wrong in 76 % of A/A tests that are watched.

Sources: GrowthBook gbstats 0.8.0, `EffectBayesianABTest`; Evan Miller (2014), "Formulas for Bayesian A/B testing".
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import betaln, log_ndtr, logsumexp, ndtr

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.difference import Proportion
from modelctl.statistics.fixed_horizon import critical

MAX_TERMS = 1_000_000
"""Of the exact sum; with more in all four cells the normal distribution of the difference is used, right to four digits."""


@dataclass(frozen=True, slots=True)
class NormalPrior:
    """What is believed of the effect before data. A variance of inf is no belief: the flat prior."""

    mean: float = 0.0
    variance: float = math.inf

    def __post_init__(self) -> None:
        if not math.isfinite(self.mean) or not self.variance > 0:
            raise InvalidInput(f"{self} is no prior; it needs a finite mean and a variance above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """The effect after data. `risk_staying` and `risk_switching` are the effects expected to be lost by keeping the baseline and
    by taking the candidate, when higher is better. All but `state` are None when the effect has no standard error."""

    chance_to_win: float | None = None
    mean: float | None = None
    sd: float | None = None
    lower: float | None = None
    upper: float | None = None
    risk_staying: float | None = None
    risk_switching: float | None = None
    state: State = State.OK


def effect_posterior(effect: float, se: float, *, prior: NormalPrior, confidence: float = 0.95) -> Posterior:
    """Normal prior times normal likelihood, weighted by precision. Degenerate when `se` is 0."""
    if not (0 <= se < math.inf and math.isfinite(effect)):
        raise InvalidInput(
            f"an effect of {effect} with a standard error of {se} has no posterior; both are finite, the error is not below 0"
        )
    if not se:
        return Posterior(state=State.DEGENERATE)
    weight, sd = _combined(se, math.sqrt(prior.variance))
    mean = prior.mean + weight * (effect - prior.mean)
    half = critical(confidence) * sd
    return Posterior(
        chance_to_win=float(ndtr(mean / sd)),
        mean=mean,
        sd=sd,
        lower=mean - half,
        upper=mean + half,
        risk_staying=_expected_gain(mean, sd),
        risk_switching=_expected_gain(-mean, sd),
    )


def _combined(se: float, prior_sd: float) -> tuple[float, float]:
    """The weight of the data and the posterior's sd: by the smaller of the two over the larger, so that no square overflows."""
    if se <= prior_sd:
        share = 1 / (1 + (se / prior_sd) ** 2)
        return share, se * math.sqrt(share)
    ratio = prior_sd / se
    return ratio * ratio / (1 + ratio * ratio), prior_sd / math.sqrt(1 + ratio * ratio)


def chance_higher(baseline: Proportion, candidate: Proportion) -> float:
    """P(p_b > p_a) with uniform priors: the exact sum over the smallest of the four counts. 1/2 without any data."""
    a_up, a_down = baseline.k + 1, baseline.n - baseline.k + 1
    b_up, b_down = candidate.k + 1, candidate.n - candidate.k + 1
    fewest = min(a_up, a_down, b_up, b_down)
    if fewest > MAX_TERMS:
        return _nearly_higher(baseline, candidate)
    if fewest == b_up:
        return _higher(a_up, a_down, up=b_up, down=b_down)
    if fewest == a_down:
        return _higher(b_down, b_up, up=a_down, down=a_up)
    other = _higher(b_up, b_down, up=a_up, down=a_down) if fewest == a_up else _higher(a_down, a_up, up=b_down, down=b_up)
    return max(1 - other, 0.0)


def _higher(alpha: int, beta: int, *, up: int, down: int) -> float:
    """P(Beta(up, down) > Beta(alpha, beta)): a sum of `up` positive terms, each from the one before it by their exact ratio."""
    i = np.arange(up - 1, dtype=np.float64)
    steps = np.log((down + i) / (1 + i)) + np.log((alpha + i) / (alpha + beta + down + i))
    return min(math.exp(_log_first(alpha, beta, down=down) + float(logsumexp(np.concatenate(([0.0], np.cumsum(steps)))))), 1.0)


def _log_first(alpha: int, beta: int, *, down: int) -> float:
    """ln B(alpha, beta + down)/B(alpha, beta): as a product where it is short, because a difference of `betaln` loses digits."""
    fewer, other = min(alpha, down), max(alpha, down)
    if fewer > MAX_TERMS:
        return float(betaln(alpha, beta + down) - betaln(alpha, beta))
    return float(-np.log1p(other / (beta + np.arange(fewer, dtype=np.float64))).sum())


def _nearly_higher(baseline: Proportion, candidate: Proportion) -> float:
    (mean_a, var_a), (mean_b, var_b) = (_beta_moments(arm) for arm in (baseline, candidate))
    return float(ndtr((mean_b - mean_a) / math.sqrt(var_a + var_b)))


def _beta_moments(arm: Proportion) -> tuple[float, float]:
    mean = (arm.k + 1) / (arm.n + 2)
    return mean, mean * (1 - mean) / (arm.n + 3)


def _expected_gain(mean: float, sd: float) -> float:
    """E[max(X, 0)] of a normal X: sd phi(z) + mean Phi(z), z = mean/sd, without cancelling far below 0."""
    z = mean / sd
    log_density = -z * z / 2 - math.log(2 * math.pi) / 2
    density = math.exp(log_density)
    if z > 0:
        return mean * float(ndtr(z)) + sd * density
    return sd * density * max(1 + z * math.exp(float(log_ndtr(z)) - log_density), 0.0) if density else 0.0
