"""The constants that must be fixed before the first observation: changing one after a look voids the error promise.

Source: Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic confidence sequences", best_rho.
"""

import math

from modelctl.errors import InvalidInput

ALPHA = 0.05
"""The default error level. The coin's prior is always tuned at it, whatever level an interval is asked for."""

MIN_CONCENTRATION = 1e-3


def tuning_constant(alpha: float = ALPHA) -> float:
    """L(alpha) = 2 ln(1/alpha) + ln(1 + 2 ln(1/alpha)): a mixture with tau^2 = L se^2 is tightest at standard error se."""
    twice = 2 * log_threshold(alpha)
    return twice + math.log1p(twice)


def log_threshold(alpha: float) -> float:
    """ln(1/alpha): log E at or above it rejects at level `alpha`, at any look (Ville). Raises InvalidInput unless 0 < alpha < 1."""
    if not 0 < alpha < 1:
        raise InvalidInput(f"alpha is {alpha}, an error level lies between 0 and 1; 0.05 is usual")
    return -math.log(alpha)


def mixing_sd(effect: float) -> float:
    """tau for an effect of interest: the minimum detectable effect of a success metric, or the margin of a guardrail.

    A fixed test with 80 % power has se = effect/2.80, and the mixture is tightest at se = tau/2.82, so tau = effect.
    Never derive `effect` from the data. Raises InvalidInput unless it is finite and not zero.
    """
    if not math.isfinite(effect) or effect == 0:
        raise InvalidInput(f"the effect to tune for is {effect}; declare a margin or a minimum detectable effect other than 0")
    return abs(effect)


def mixing_sd_at(se: float, *, alpha: float = ALPHA) -> float:
    """tau for which the interval is tightest when the standard error has come down to `se`: tau^2 = se^2 L(alpha)."""
    return mixing_sd(se * math.sqrt(tuning_constant(alpha)))


def concentration(n: float, *, alpha: float = ALPHA) -> float:
    """kappa = n/L(alpha) - 1, at least 0.001: the beta prior's weight for which a coin's interval is tightest at `n` trials."""
    return max(n / tuning_constant(alpha) - 1, MIN_CONCENTRATION)


COIN_CONCENTRATION = concentration(100)
"""Tuned for 100 trials (kappa 11.6): discordant pairs, slow requests, noise."""

SHARE_CONCENTRATION = concentration(10_000)
"""Tuned for 10,000 units (kappa 1259): traffic shares."""


def limit_concentration(limit: float) -> float:
    """kappa for one arm's share against an absolute limit (an SLO): tuned for the trials in which 5 events are at the limit.

    Of the rarer kind, so that a limit of 99 % agreement is one of 1 % disagreement.
    """
    if not 0 < limit < 1:
        raise InvalidInput(f"the limit is {limit}; a share to compare with lies between 0 and 1")
    return concentration(5 / min(limit, 1 - limit))


def candidate_alpha(alpha: float, candidates: int) -> float:
    """alpha/K: the error level of each of K candidates that are compared with one baseline."""
    if candidates < 1:
        raise InvalidInput(f"{candidates} candidates share no error level; there is at least one")
    return alpha / candidates


def split_alpha(alpha: float, weights: dict[str, float]) -> dict[str, float]:
    """Weighted Bonferroni: each guarded metric's part of `alpha`, by metric name. Weights are positive; their scale is free.

    Rolling back is an OR over metrics, so its error level is shared out. Promoting is an AND and needs no split.
    """
    total = math.fsum(weights.values())
    if any(weight <= 0 for weight in weights.values()):
        raise InvalidInput(f"the weights {weights} must all be above 0; leave a metric out instead of giving it no weight")
    return {name: alpha * weight / total for name, weight in weights.items()}
