"""Uniform boundaries u(v): a martingale S with intrinsic time V stays below u(V) at every look, with probability 1 - alpha.

A mixture gives ln of a supermartingale in (s, v); its boundary is where that reaches ln(1/alpha). Every mixture is tightest
at the intrinsic time its `rho` was made for (`rho_at`), which is fixed before the data.
Source: Howard, Ramdas, McAuliffe, Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic confidence sequences",
propositions 3 to 9, theorem 1 for stitching; confseq has the same curves. `v` is above 0.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import betainc, betaln, gammainc, gammaincc, gammaln, log_ndtr, zeta

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats, Numbers
from modelctl.statistics.roots import edge
from modelctl.statistics.tuning import ALPHA, MIN_CONCENTRATION, log_threshold, tuning_constant

STITCHING_POWER = 1.4
STITCHING_GROWTH = 2.0


def rho_at(v_opt: float, *, sides: int, alpha: float = ALPHA) -> float:
    """The rho of a mixture that is tightest at intrinsic time `v_opt`. A one-sided one spends all of `alpha` on one side."""
    if not v_opt > 0 or sides not in (1, 2):
        raise InvalidInput(f"v_opt is {v_opt} and sides {sides}; give an intrinsic time above 0, and 1 or 2 sides")
    return v_opt / tuning_constant(alpha if sides == 2 else 2 * alpha)


def one_sided_normal(s: Numbers, v: Numbers, *, rho: float) -> Floats:
    """ln of the half-normal mixture: ln(4 rho/(v + rho))/2 + s^2/(2 (v + rho)) + ln Phi(s/sqrt(v + rho))."""
    spread = v + rho
    mixture: Floats = 0.5 * np.log(4 * rho / spread) + s * s / (2 * spread) + log_ndtr(s / np.sqrt(spread))
    return mixture


def two_sided_normal(s: Numbers, v: Numbers, *, rho: float) -> Floats:
    """ln of the normal mixture: s^2/(2 (v + rho)) - ln(1 + v/rho)/2."""
    mixture: Floats = s * s / (2 * (v + rho)) - 0.5 * np.log1p(v / rho)
    return mixture


def gamma_exponential(s: Numbers, v: Numbers, *, rho: float, scale: float) -> Floats:
    """ln of the gamma mixture for sub-exponential sums of scale c > 0: centred, bounded below by -c or with such a tail."""
    square = scale * scale
    start, shape = rho / square, (v + rho) / square
    rate = (scale * s + v + rho) / square
    lead = start * math.log(start) - gammaln(start) - np.log(gammainc(start, start))
    mixture: Floats = lead + gammaln(shape) + np.log(gammainc(shape, rate)) - shape * np.log(rate) + rate - start
    return mixture


def gamma_poisson(s: Numbers, v: Numbers, *, rho: float, scale: float) -> Floats:
    """ln of the gamma mixture for sub-Poisson sums, whose steps are at most c > 0."""
    square = scale * scale
    start, shape = rho / square, (v + rho) / square
    count = s / scale + shape
    lead = start * math.log(start) - gammaln(start) - np.log(gammaincc(start, start))
    mixture: Floats = lead + gammaln(count) + np.log(gammaincc(count, shape)) - count * np.log(shape) + shape - start
    return mixture


def beta_binomial(s: Numbers, v: Numbers, *, rho: float, g: float, h: float, sides: int) -> Floats:
    """ln of the beta mixture for sub-Bernoulli sums, whose steps lie in [-g, h]; v is g h for each step."""
    r = max(rho - g * h, MIN_CONCENTRATION * g * h)
    share = h / (g + h) if sides == 1 else 1.0
    powers = v / (g * h) * math.log(g + h) - (v + h * s) / (h * (g + h)) * math.log(g) - (v - g * s) / (g * (g + h)) * math.log(h)
    below, above = (r + v - g * s) / (g * (g + h)), (r + v + h * s) / (h * (g + h))
    start = _log_incomplete_beta(r / (g * (g + h)), r / (h * (g + h)), share=share)
    mixture: Floats = powers + _log_incomplete_beta(below, above, share=share) - start
    return mixture


def _log_incomplete_beta(a: Numbers, b: Numbers, *, share: float) -> Floats:
    return np.asarray(betaln(a, b) + np.log(betainc(a, b, share)), dtype=np.float64)


def boundary(log_mixture: Callable[[float], Numbers], *, alpha: float, ceiling: float = math.inf) -> float:
    """The s at which `log_mixture` reaches ln(1/alpha); `ceiling`, the most that s can be, when it does not before that."""
    threshold = log_threshold(alpha)

    def excess(s: float) -> float:
        return float(log_mixture(s)) - threshold

    outside = ceiling
    if math.isinf(ceiling):
        outside = 1.0
        while excess(outside) <= 0:
            outside *= 2
    root = edge(excess, 0.0, outside=outside)
    return outside if root is None else root


def two_sided_normal_bound(v: float, *, rho: float, alpha: float) -> float:
    """sqrt((v + rho) (ln(1 + v/rho) + 2 ln(1/alpha)))."""
    return math.sqrt((v + rho) * (math.log1p(v / rho) + 2 * log_threshold(alpha)))


def one_sided_normal_bound(v: float, *, rho: float, alpha: float) -> float:
    """The boundary of `one_sided_normal`."""
    return boundary(lambda s: one_sided_normal(s, v, rho=rho), alpha=alpha)


def gamma_exponential_bound(v: float, *, rho: float, scale: float, alpha: float) -> float:
    """The boundary of `gamma_exponential`."""
    _positive("the scale", scale)
    return boundary(lambda s: gamma_exponential(s, v, rho=rho, scale=scale), alpha=alpha)


def gamma_poisson_bound(v: float, *, rho: float, scale: float, alpha: float) -> float:
    """The boundary of `gamma_poisson`."""
    _positive("the scale", scale)
    return boundary(lambda s: gamma_poisson(s, v, rho=rho, scale=scale), alpha=alpha)


def beta_binomial_bound(v: float, *, rho: float, g: float, h: float, sides: int, alpha: float) -> float:
    """The boundary of `beta_binomial`; no sum of such steps exceeds v/g."""
    _positive("each end of the range", min(g, h))
    return boundary(lambda s: beta_binomial(s, v, rho=rho, g=g, h=h, sides=sides), alpha=alpha, ceiling=v / g)


def stitched_bound(v: float, *, v_min: float, scale: float, alpha: float) -> float:
    """The polynomial stitched boundary, of the order sqrt(v ln ln v), from `v_min` on; s = 1.4, eta = 2. `scale` may be below 0."""
    _positive("v_min", v_min)
    eta, power, time = STITCHING_GROWTH, STITCHING_POWER, max(v, v_min)
    first, second = (eta**0.25 + eta**-0.25) / math.sqrt(2), (math.sqrt(eta) + 1) / 2
    start = math.log(float(zeta(power)) / math.log(eta) ** power)
    ell = power * math.log(math.log(eta * time / v_min)) + start + log_threshold(alpha)
    term = second * scale * ell
    return math.sqrt(first * first * time * ell + term * term) + term


def _positive(what: str, value: float) -> None:
    if not value > 0:
        raise InvalidInput(f"{what} is {value}, it must be above 0")
