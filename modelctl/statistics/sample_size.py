"""How many units one look needs: n_fixed = (z_(1 - alpha/sides) + z_power)^2 variance/distance^2.

`variance` is that of the estimate after n units, times n. `distance` is what the interval must exclude: the effect, or for a
guardrail the margin less the harm that is assumed. Two arms share n: the candidate has `share` of it.
Sources: Lachin (1981); Howard et al. (2021) for the tuned interval; Spotify's confidence for rounding up per arm.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from modelctl.errors import InvalidInput
from modelctl.statistics import normal_mixture
from modelctl.statistics.tuning import ALPHA, log_threshold, mixing_sd_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The error level, one-sided or two-sided, and the power. With m guardrails plan each at power 1 - (1 - power)/m."""

    alpha: float = ALPHA
    power: float = 0.8
    sides: int = 2

    def __post_init__(self) -> None:
        log_threshold(self.alpha)
        if not 0 < self.power < 1 or self.sides not in (1, 2) or self.z <= 0:
            raise InvalidInput(f"{self} cannot be planned for: 1 or 2 sides, and a power between the level and 1")

    @property
    def z(self) -> float:
        """z_(1 - alpha/sides) + z_power."""
        return float(ndtri(1 - self.alpha / self.sides) + ndtri(self.power))


USUAL = Target()
"""5 % on two sides, 80 % power."""


def each_of(guardrails: int, target: Target = USUAL) -> Target:
    """The target for each of several guardrails that must all pass: the chance to miss is shared out, the level is not."""
    return Target(alpha=target.alpha, power=1 - (1 - target.power) / max(guardrails, 1), sides=target.sides)


def fixed(variance: float, distance: float, *, target: Target = USUAL) -> float:
    """n_fixed, not rounded. Raises InvalidInput when there is no distance to show."""
    if not (distance and math.isfinite(distance) and 0 <= variance < math.inf):
        raise InvalidInput(f"nothing to show at a distance of {distance} with variance {variance}; give a margin or an effect")
    return target.z**2 * variance / distance**2


def tuned_se(distance: float, target: Target = USUAL) -> float:
    """The standard error at which the watched interval, tuned for it, excludes its null with the target's power at that look.

    distance/(c + z_power), c = half-width/se at the optimum (3.035 at 0.05). Its tau is `tuning.mixing_sd_at`.
    """
    widest = float(normal_mixture.half_width(1.0, tau=mixing_sd_at(1.0, alpha=target.alpha), alpha=target.alpha))
    return abs(distance) / (widest + float(ndtri(target.power)))


def marginal(variance: float, distance: float, *, target: Target = USUAL) -> float:
    """n at which the standard error is `tuned_se`. It forgets that an earlier look may have decided: 1.9 n_fixed, too many."""
    return variance / tuned_se(distance, target) ** 2


def rounded_per_arm(n: float, share: float) -> int:
    """n when the candidate's part is a whole number of units, and the baseline's part goes with it."""
    candidate = _up(n * share)
    return _up(candidate + candidate * (1 - share) / share)


def _up(n: float) -> int:
    """The next whole number, where rounding errors do not count."""
    return math.ceil(n * (1 - 1e-12))


def two_arms(variance_a: float, variance_b: float, *, share: float) -> float:
    """The unpooled variance: baseline/(1 - share) + candidate/share. Raises InvalidInput unless 0 < share < 1."""
    if not 0 < share < 1:
        raise InvalidInput(f"the candidate's share is {share}; two arms need a share between 0 and 1")
    return variance_a / (1 - share) + variance_b / share


def larger(variance_a: float, variance_b: float, *, share: float, gap: float) -> float:
    """The larger of the unpooled variance and the pooled one, that of both arms as one set whose means are `gap` apart."""
    together = (1 - share) * variance_a + share * variance_b + share * (1 - share) * gap * gap
    return max(two_arms(variance_a, variance_b, share=share), two_arms(together, together, share=share))


def bernoulli(rate: float) -> float:
    """p (1 - p). Raises InvalidInput outside [0, 1]."""
    if not 0 <= rate <= 1:
        raise InvalidInput(f"a rate of {rate} cannot be; a share of requests lies between 0 and 1")
    return rate * (1 - rate)


def paired_variance(sd: float, *, correlation: float) -> float:
    """Var(b - a) = 2 sd^2 (1 - correlation), for arms of one spread."""
    return 2 * sd * sd * (1 - correlation)
