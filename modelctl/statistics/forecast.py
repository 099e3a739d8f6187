"""How much must be seen until a metric can decide: before a rollout starts, and while it runs.

Watching at every look costs a factor on the sample of one look, measured by simulation: 1.65, 1.55 for a guardrail without
true harm, and 2.1 for the exact bets on pairs. The variance of a difference is the larger of the pooled and the unpooled one,
because that error decides.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from modelctl.statistics import coin, normal_mixture, sample_size
from modelctl.statistics.crossing import first_crossings
from modelctl.statistics.designs import Design, Limit, Means, PairedMeans, PairedOutcomes, Proportions, Rates, Unit
from modelctl.statistics.sample_size import USUAL, Target
from modelctl.statistics.tuning import limit_concentration, log_threshold

WATCHED = 1.65
"""n at 80 % power, in units of n_fixed, when every look may decide on an effect."""

WATCHED_WITHOUT_HARM = 1.55
"""The same for a guardrail whose candidate is truly as good as its baseline."""

WATCHED_BETS = 2.1
"""The same for paired outcomes, which exact bets judge at any sample size, without a gate (`grid_betting`)."""

GROUP_SEQUENTIAL = 1.16
"""The declared maximum of a group-sequential plan with 80 % power, in units of n_fixed."""

LOOKS = 40
"""How many looks the chance of a decision is summed over."""

BETWEEN_LOOKS = 0.5826
"""How far, in deviations of a step, the boundary of such looks lies below that of looking all the time (Siegmund 1985)."""

MOST_SHARE = 0.5
"""A larger share than this takes from the other arm more than it gives."""

Split = Proportions | Means | Rates
"""Designs whose candidate takes its share from the baseline."""

AnyDesign = Split | PairedOutcomes | PairedMeans | Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`n_fixed` for one look, `n80` when watched, both in `unit`, at the target's power (80 % unless said otherwise).

    `distance` is what the interval must exclude, `variance` that of the estimate times n. `share` is the candidate's share of
    the requests; `per_request` is how many units one request of the route gives.
    """

    unit: Unit
    n_fixed: float
    n80: float
    distance: float
    variance: float
    share: float
    per_request: float
    alpha: float

    @property
    def requests(self) -> float:
        """n80 in requests of the route; inf when they give no such units."""
        return self.n80 / self.per_request if self.per_request else math.inf

    @property
    def max_n_group_sequential(self) -> float:
        """The maximum to declare for `engine: gst`, in `unit`."""
        return GROUP_SEQUENTIAL * self.n_fixed

    def seconds(self, rate: float, *, seen: float = 0.0) -> float:
        """From now to n80 at `rate` requests a second, when `seen` units are there already; inf without traffic."""
        left, pace = max(self.n80 - seen, 0.0), rate * self.per_request
        if not left:
            return 0.0
        return left / pace if pace > 0 else math.inf

    def probability(self, n: float) -> float:
        """The chance that a look up to `n` units excludes what it must, if what is assumed is true: at n80 the target's power.

        That of the normal mixture tuned for `distance`, on the scale of n80 for other methods.
        """
        if not (n > 0 and self.variance):
            return float(n >= self.n80)
        most = n * WATCHED * self.n_fixed / self.n80 / self.variance
        information = most * np.linspace(1 / LOOKS, 1.0, LOOKS)
        half = normal_mixture.half_width(1 / np.sqrt(information), tau=self.distance, alpha=self.alpha)
        bounds = half * information - BETWEEN_LOOKS * math.sqrt(most / LOOKS)
        return min(1.0, float(first_crossings(information, bounds, drift=self.distance).sum()))

    def refusal(self, max_n: float) -> str:
        """Why it cannot decide within `max_n` requests of the route, for a gate that is refused; empty when it can."""
        if self.requests <= max_n:
            return ""
        at = f" at a share of {100 * self.share:g} %" if self.share < 1 else ""
        need = "no number of requests is enough" if math.isinf(self.requests) else f"about {self.requests:,.0f} are needed"
        return f"unreachable before max_n = {max_n:,.0f} requests: {need}{at}"


def forecast(design: Design, target: Target = USUAL) -> Forecast:
    """What `design` needs. Raises InvalidInput when it has no distance to show, or a share outside its range."""
    if isinstance(design, Limit) and not design.rate:
        n_fixed, n80 = (
            float(single_look_without_errors(design.limit, target)),
            float(certified_without_errors(design.limit, target)),
        )
    else:
        n_fixed = sample_size.fixed(design.variance, design.distance, target=target)
        n80 = n_fixed * _cost_of_watching(design)
    return Forecast(
        unit=design.unit,
        n_fixed=n_fixed,
        n80=n80,
        distance=design.distance,
        variance=design.variance,
        share=design.share,
        per_request=design.per_request,
        alpha=target.alpha,
    )


def _cost_of_watching(design: Design) -> float:
    if isinstance(design, PairedOutcomes):
        return WATCHED_BETS
    return WATCHED if design.harm else WATCHED_WITHOUT_HARM


def certified_without_errors(limit: float, target: Target = USUAL) -> int:
    """The candidate's requests without an error after which its interval, watched, lies below `limit` (427 for 1 % at 5 %).

    With the coin's prior for a limit, `tuning.limit_concentration`.
    """
    kappa, threshold = limit_concentration(limit), log_threshold(target.alpha)
    low, high = 0, 1
    while coin.log_e(0.0, float(high), p0=limit, kappa=kappa) < threshold:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        passed = coin.log_e(0.0, float(middle), p0=limit, kappa=kappa) >= threshold
        low, high = (low, middle) if passed else (middle, high)
    return high


def single_look_without_errors(limit: float, target: Target = USUAL) -> int:
    """The same for one look: ln alpha/ln(1 - limit), the rule of three (299 for 1 % at 5 %)."""
    return math.ceil(-log_threshold(target.alpha) / math.log1p(-limit))


def faster(design: AnyDesign, target: Target = USUAL) -> Forecast | None:
    """The forecast at twice the share, at most half for designs that split traffic; None when that decides no sooner."""
    most = MOST_SHARE if isinstance(design, Split) else 1.0
    now, doubled = forecast(design, target), forecast(_with_share(design, min(2 * design.share, most)), target)
    return doubled if doubled.requests < now.requests else None


def _with_share(design: AnyDesign, share: float) -> AnyDesign:
    changed: Any = replace(design, share=share)
    widened: AnyDesign = changed
    return widened


def lever(design: AnyDesign, rate: float, *, target: Target = USUAL) -> str:
    """The fastest lever as words, at `rate` requests a second: "raise share 5 % to 10 %: 6.1 h becomes 3.2 h"; empty if none."""
    now, sooner = forecast(design, target), faster(design, target)
    if sooner is None:
        return ""
    return (
        f"raise share {100 * now.share:g} % to {100 * sooner.share:g} %: "
        f"{duration(now.seconds(rate))} becomes {duration(sooner.seconds(rate))}"
    )


def duration(seconds: float) -> str:
    """In the largest unit of which there is at least one: 45 s, 12 min, 6.1 h, 3.4 d."""
    if math.isinf(seconds):
        return "never"
    for length, unit in ((86400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.0f} s"
