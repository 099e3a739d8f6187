"""Losses per row once the truth is known, and the mean loss difference of two arms on the same rows.

Always show Brier beside log-loss: one confident miss dominates log-loss. Sources: Good (1952); Brier (1950).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelctl.errors import InvalidInput
from modelctl.statistics.fixed_horizon import FixedHorizon
from modelctl.statistics.means import paired_t
from modelctl.statistics.moments import Moments, summary

CLIP = 1e-15
"""Probabilities are kept this far from 0 and 1, so that no row costs more than 34.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossDifference:
    """The mean loss of both arms, None without rows; `difference` is candidate minus baseline: above 0 the candidate is worse."""

    baseline: float | None
    candidate: float | None
    difference: FixedHorizon


def log_loss(truth: float, probability: float) -> float:
    """-ln of the probability that was given to the truth (0 or 1), clipped to [1e-15, 1 - 1e-15]."""
    _check(truth, probability)
    p = min(max(probability, CLIP), 1 - CLIP)
    return -(truth * math.log(p) + (1 - truth) * math.log1p(-p))


def brier(truth: float, probability: float) -> float:
    """The squared distance of the probability to the truth (0 or 1)."""
    _check(truth, probability)
    return (probability - truth) ** 2


def absolute_error(truth: float, prediction: float) -> float:
    """Its mean is the MAE."""
    return abs(prediction - truth)


def squared_error(truth: float, prediction: float) -> float:
    """The root of its mean is the RMSE."""
    return (prediction - truth) ** 2


def compare(baseline: Sequence[float], candidate: Sequence[float], *, confidence: float = 0.95) -> LossDifference:
    """The paired t of per-row losses of the same rows, in one order."""
    if len(baseline) != len(candidate):
        raise InvalidInput(f"{len(baseline)} and {len(candidate)} losses are not pairs; give both arms' loss of each row")
    arms = [summary(losses) for losses in (baseline, candidate)]
    difference = summary([b - a for a, b in zip(baseline, candidate, strict=True)])
    a, b = (_mean(arm) for arm in arms)
    return LossDifference(baseline=a, candidate=b, difference=paired_t(difference, confidence=confidence))


def _mean(arm: Moments) -> float | None:
    return arm.mean if arm.n else None


def _check(truth: float, probability: float) -> None:
    if not 0 <= truth <= 1 or not 0 <= probability <= 1:
        raise InvalidInput(f"a truth of {truth} with a probability of {probability}: both lie between 0 and 1")
