"""Which arm did the event come from? The rate ratio of two unpaired arms, given their events.

Under randomisation an event (error, slow request, conversion) belongs to the candidate with probability pi psi/(pi psi + 1 - pi),
where pi is the candidate's share when the unit was assigned and psi the ratio of event rates. The base rate drops out, so neither
a ramp nor the time of day biases it, and it is exact at every count. Precondition: one event per unit.
Source: Lindon & Malek (2022), "Anytime-valid inference for multinomial count data", with a log-normal grid mixture over psi.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit, logsumexp

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.roots import edge
from modelctl.statistics.tuning import log_threshold

LOG_RATIOS: Floats = np.linspace(-3.0, 3.0, 401)
"""The mixture's support: ln psi from a twentieth to twenty times."""

PRIOR_SD = 0.5

_FAR = 700.0
"""|ln psi| beyond which psi itself is written as 0 or inf."""

_DENSITY: Floats = -0.5 * (LOG_RATIOS / PRIOR_SD) ** 2
LOG_WEIGHTS: Floats = _DENSITY - logsumexp(_DENSITY)


@dataclass(frozen=True, slots=True)
class EventStage:
    """`k` of a stage's `n` events fell in the candidate arm, which had `share` of the units. Events count once per unit."""

    k: int
    n: int
    share: float

    def __post_init__(self) -> None:
        if not (0 <= self.k <= self.n and 0 <= self.share <= 1):
            raise InvalidInput(f"{self} is not a stage: need 0 <= k <= n and a share between 0 and 1")


def log_likelihood(k: Floats, n: Floats, *, shares: Floats, log_ratios: Floats) -> Floats:
    """ln P(arms of the events | psi) for each of `log_ratios`: the last axis of the result. That of k and n is the stage."""
    odds = logit(shares)[:, None] + log_ratios
    likelihood: Floats = -(k @ np.logaddexp(0.0, -odds) + (n - k) @ np.logaddexp(0.0, odds))
    return likelihood


def log_mixture(k: Floats, n: Floats, *, shares: Floats) -> Floats:
    """ln of the likelihood averaged over the prior: the numerator of every log E."""
    likelihood = log_likelihood(k, n, shares=shares, log_ratios=LOG_RATIOS)
    mixture: Floats = logsumexp(likelihood + LOG_WEIGHTS, axis=-1)
    return mixture


def log_e(k: Floats, n: Floats, *, shares: Floats, ratio: float = 1.0) -> Floats:
    """The evidence against the rate ratio `ratio` > 0."""
    null = log_likelihood(k, n, shares=shares, log_ratios=np.array([math.log(ratio)]))[..., 0]
    return log_mixture(k, n, shares=shares) - null


def compare(stages: Sequence[EventStage], *, alpha: float) -> Comparison:
    """The rate ratio candidate/baseline with its interval, against 1. Stages whose share is 0 or 1 say nothing and are left out;
    units in an arm without share are `sample_ratio`'s to find.

    No event in the candidate gives lower 0, none in the baseline upper inf, no events at all (0, inf).
    """
    k, n, shares = _by_share(stages)
    heads, total = int(k.sum()), int(n.sum())
    threshold = log_threshold(alpha)
    if not total:
        return _comparison(None, (0.0, math.inf), n=0, alpha=alpha)
    mixture = float(log_mixture(k, n, shares=shares))

    def evidence(log_ratio: float) -> float:
        return mixture - float(log_likelihood(k, n, shares=shares, log_ratios=np.array([log_ratio]))[0])

    def excess(log_ratio: float) -> float:
        return evidence(log_ratio) - threshold

    best = _best(k, n, shares=shares)
    low, high = _rejected(k, n, shares=shares, level=mixture - threshold)
    lower = edge(excess, best, outside=low) if heads else None
    upper = edge(excess, best, outside=high) if heads < total else None
    interval = (0.0 if lower is None else _exp(lower), math.inf if upper is None else _exp(upper))
    return _comparison(_exp(best), interval, n=total, alpha=alpha, log_e_one=evidence(0.0))


def evidence(stages: Sequence[EventStage]) -> float:
    """The log E of `compare` alone, without its interval. 0 without events."""
    k, n, shares = _by_share(stages)
    return float(log_e(k, n, shares=shares)) if n.sum() else 0.0


def _by_share(stages: Sequence[EventStage]) -> tuple[Floats, Floats, Floats]:
    """k, n and share of the two-armed stages; stages with equal shares are one, whatever their order."""
    shares = sorted({stage.share for stage in stages if 0 < stage.share < 1})
    k = [sum(stage.k for stage in stages if stage.share == share) for share in shares]
    n = [sum(stage.n for stage in stages if stage.share == share) for share in shares]
    return np.array(k, dtype=np.float64), np.array(n, dtype=np.float64), np.array(shares, dtype=np.float64)


def _best(k: Floats, n: Floats, *, shares: Floats) -> float:
    """ln psi of greatest likelihood: the root of sum(k - n p(psi)); -+inf, held at -+_FAR, when one arm has every event."""
    heads, total = float(k.sum()), float(n.sum())
    if heads in (0.0, total):
        return -_FAR if heads == 0 else _FAR
    odds = logit(shares)
    low, high = (float(logit(heads / total) - end) for end in (odds.max(), odds.min()))

    def score(log_ratio: float) -> float:
        return heads - float(n @ expit(odds + log_ratio))

    if score(low) <= 0 or score(high) >= 0:
        return low if score(low) <= 0 else high
    return float(brentq(score, low, high, xtol=1e-16, rtol=8.881784197001252e-16))


def _rejected(k: Floats, n: Floats, *, shares: Floats, level: float) -> tuple[float, float]:
    """One ln psi on each side of the interval where the log-likelihood is surely below `level`.

    From ln p <= logit pi + ln psi and ln(1 - p) <= -(logit pi + ln psi).
    """
    odds, tails = logit(shares), n - k
    low = (level - float(k @ odds)) / max(float(k.sum()), 1.0)
    high = (-level - float(tails @ odds)) / max(float(tails.sum()), 1.0)
    return low - 1, high + 1


def _exp(log_ratio: float) -> float:
    if abs(log_ratio) < _FAR:
        return math.exp(log_ratio)
    return 0.0 if log_ratio < 0 else math.inf


def _comparison(ratio: float | None, interval: tuple[float, float], *, n: int, alpha: float, log_e_one: float = 0.0) -> Comparison:
    return Comparison(
        estimate=ratio,
        lower=interval[0],
        upper=interval[1],
        n=n,
        method="arm-given-event",
        alpha=alpha,
        null=1.0,
        log_e=log_e_one,
        state=State.OK if n else State.NO_DATA,
        reason="" if n else "no events in either arm yet",
    )
