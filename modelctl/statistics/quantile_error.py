"""The fixed-horizon error of a quantile, from the interval of its order statistics. Valid for one look only.

Source: GrowthBook gbstats 0.8.0, `QuantileStatistic`, without its floor of 1e-5, which is a second for some and nothing for others.
"""

import math
from dataclasses import dataclass

from scipy.special import ndtri

from modelctl.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class QuantileError:
    """`variance` per observation, and the standard error of the quantile. Both None below two values."""

    variance: float | None = None
    se: float | None = None


def quantile_error(n: int, interval: tuple[float, float], *, n_star: int | None = None, confidence: float = 0.95) -> QuantileError:
    """From the values `interval` at the order statistics that bound the quantile among `n_star` values, `n` by default.

    variance = (n_star/n)(n - 1)((upper - lower)/(2 z))^2, se = sqrt(variance/n).
    """
    lower, upper = interval
    if not lower <= upper or n < 0 or (n_star is not None and n_star < 0):
        raise InvalidInput(f"an interval from {lower} to {upper} of {n} values cannot be; its lower end comes first")
    if n < 2:
        return QuantileError()
    width = (upper - lower) / (2 * float(ndtri((1 + confidence) / 2)))
    variance = (n if n_star is None else n_star) / n * (n - 1) * width**2
    return QuantileError(variance, math.sqrt(variance / n))
