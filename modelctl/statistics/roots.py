"""Where a confidence sequence ends: the root of log E minus its threshold, between explicit brackets."""

from collections.abc import Callable

from scipy.optimize import brentq

# The smallest relative tolerance brentq accepts; the absolute one is there for roots at 0 alone.
_RELATIVE = 8.881784197001252e-16
_ABSOLUTE = 1e-16


def edge(excess: Callable[[float], float], inside: float, *, outside: float) -> float | None:
    """The point where `excess` reaches 0 on the way from `inside`, where it is below 0, to `outside`.

    None when `outside` is not rejected either: then the interval ends at the end of the range, not at a root.
    """
    if not excess(outside) > 0:
        return None
    if excess(inside) >= 0:
        return inside
    return float(brentq(excess, inside, outside, xtol=_ABSOLUTE, rtol=_RELATIVE, maxiter=500))
