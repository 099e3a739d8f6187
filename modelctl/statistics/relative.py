"""Differences as a share of the baseline's own value, without dividing by it: margins such as "10 % of the baseline's".

A ratio m_b/m_a - 1 has no variance when m_a can be near 0, so means are judged by the linear contrast m_b - (1 + at) m_a, where
`at` is the relative change that an end of the interval is compared with: the contrast is above 0 exactly when the change is
above `at`. An end is shown as `at + end of the contrast/|m_a|`, which is `at` exactly where the contrast is 0.
Source: Fieller (1954), as a one-sided test for each end.
"""

import math
from collections.abc import Callable
from dataclasses import replace

from modelctl.statistics.comparison import Comparison, State

Contrast = Callable[[float], Comparison]
"""The comparison of m_b with `factor` times m_a, against 0."""


def by_contrast(contrast: Contrast, *, baseline: float, ends: tuple[float, float]) -> Comparison:
    """The relative change with an interval whose lower end decides about the change `ends[0]` and whose upper end about `ends[1]`.

    `baseline` is m_a as estimated. It only scales what is shown, and says where "more" is for means below 0.
    """
    low, high = (contrast(1 + math.copysign(at, baseline * at) if baseline else 1.0) for at in ends)
    if baseline == 0 and low.usable:
        return replace(low, lower=-math.inf, upper=math.inf, state=State.DEGENERATE, reason="the baseline's value is 0")
    if not low.usable or not high.usable:
        return replace(low, estimate=None)
    scale = abs(baseline)
    middle = contrast(1.0).estimate
    return Comparison(
        estimate=None if middle is None else middle / scale,
        lower=ends[0] + low.lower / scale,
        upper=ends[1] + high.upper / scale,
        n=low.n,
        method="contrast",
        alpha=low.alpha,
        log_e=contrast(1.0).log_e,
    )


def by_box(difference: Comparison, *, baseline: tuple[float, float, float]) -> Comparison:
    """The relative change from a difference and from the baseline's lower end, estimate and upper end, at half the level each.

    What is claimed holds at the sum of both levels. An end is infinite where the baseline may be 0 or below.
    """
    low, value, high = baseline
    if not difference.usable:
        return replace(difference, estimate=None)
    lower, upper = difference.lower, difference.upper
    return replace(
        difference,
        estimate=difference.estimate / value if difference.estimate is not None and value > 0 else None,
        lower=_over(lower, high if lower > 0 else low),
        upper=_over(upper, low if upper > 0 else high),
        method=f"{difference.method}-box",
        alpha=2 * difference.alpha,
        log_e=0.0,
    )


def _over(end: float, size: float) -> float:
    if size > 0:
        return end / size
    return 0.0 if end == 0 else math.copysign(math.inf, end)
