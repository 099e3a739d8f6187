"""The normal-mixture confidence sequence, also known as mSPRT, GAVI and asymptotic confidence sequence.

Sources: Robbins (1970); Howard et al. (2021); Waudby-Smith et al. (2103.06476) for estimated variances.
The clock is the information 1/se^2, never a row count. `tau` is fixed before the data (`tuning.mixing_sd`).
Functions take one number or an array of them.
"""

import numpy as np

from modelctl.errors import InvalidInput
from modelctl.statistics.arrays import Floats, Numbers
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.tuning import log_threshold


def half_width(se: Numbers, *, tau: float, alpha: float) -> Floats:
    """se sqrt((1 + se^2/tau^2) (ln(1 + tau^2/se^2) + 2 ln(1/alpha))), for se > 0."""
    half: Floats = se * np.hypot(1, se / tau) * np.sqrt(_log1p_ratio(se, tau=tau) + 2 * log_threshold(alpha))
    return half


def log_e(estimate: Numbers, se: Numbers, *, tau: float, null: float = 0.0) -> Floats:
    """z^2/2 r/(1+r) - ln(1+r)/2 with z = (estimate - null)/se and r = tau^2/se^2: the evidence against `null`, for se > 0."""
    shrunk = (estimate - null) / se / np.hypot(1, se / tau)
    evidence: Floats = shrunk * shrunk / 2 - _log1p_ratio(se, tau=tau) / 2
    return evidence


def _log1p_ratio(se: Numbers, *, tau: float) -> Floats:
    """ln(1 + tau^2/se^2), also where the ratio itself would overflow."""
    logarithm: Floats = np.logaddexp(0.0, 2 * (np.log(tau) - np.log(se)))
    return logarithm


def compare(estimate: float, se: float, *, n: int, tau: float, alpha: float) -> Comparison:
    """An estimate with its standard error as a comparison against 0. Raises InvalidInput unless se and tau are above 0."""
    if not (se > 0 and tau > 0):
        raise InvalidInput(f"standard error {se} and tau {tau} must both be above 0; data without spread have no interval")
    half = float(half_width(se, tau=tau, alpha=alpha))
    return Comparison(
        estimate=estimate,
        lower=estimate - half,
        upper=estimate + half,
        n=n,
        method="normal-mixture",
        alpha=alpha,
        log_e=float(log_e(estimate, se, tau=tau)),
    )
