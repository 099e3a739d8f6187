"""The group-sequential test for `engine: gst`: a declared maximum, few looks, and narrower intervals than at every look.

At a look with the share t of the declared information, alpha t^2 has been spent on each side (alpha is that side's level).
It needs 1.16 times the sample of a single look, where the always-valid interval needs 1.65 times, but it ends at its maximum:
a look beyond that is refused, because a test that outlives its plan keeps no error level (9 % false alarms at 5 %).
Sources: Lan & DeMets (1983), with the spending function of Kim & DeMets (1987), rho = 2; repeated intervals as in
Jennison & Turnbull (1989).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from scipy.special import ndtri

from modelctl.errors import IllegalMove, InvalidInput
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.crossing import START, bound_for, carry, chance_above
from modelctl.statistics.estimate import Estimate, unusable
from modelctl.statistics.tuning import log_threshold

SPENDING_POWER = 2.0

MIN_STEP = 1e-5
"""A look that adds less than this share of the information sees the boundary of the look before."""

MAX_LOOKS = 100
"""More looks than this are watching: the always-valid interval is made for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """How much error each look may spend: `alpha` over `sides`, each side's part by t^power."""

    alpha: float
    sides: int = 2
    power: float = SPENDING_POWER

    def __post_init__(self) -> None:
        log_threshold(self.alpha)
        if self.sides not in (1, 2) or not self.power > 0:
            raise InvalidInput(f"{self} is no way to spend an error level: 1 or 2 sides, and a power above 0")

    @property
    def per_side(self) -> float:
        """The level of one side."""
        return self.alpha / self.sides

    def spent(self, t: float) -> float:
        """What one side has spent at information share t, 0 < t <= 1."""
        return self.per_side * math.pow(t, self.power)


def boundaries(shares: Sequence[float], spending: Spending, *, closing: bool = False) -> tuple[float, ...]:
    """The z of each look, from the shares of the declared information at each look, which do not fall and are at most 1.

    `closing` says that the last look is the last one ever, so it spends what is left even if its share is below 1.
    No z is below that of a single look, or above 8.
    """
    _check(shares)
    single, zs, state, used = -float(ndtri(spending.per_side)), list[float](), START, 0.0
    for look, share in enumerate(shares):
        final = closing and look + 1 == len(shares)
        if zs and share - state.t <= MIN_STEP and not final:
            zs.append(zs[-1])
            continue
        t = max(share, state.t + MIN_STEP)
        spent = spending.per_side if final else spending.spent(t)
        bound = max(bound_for(state, t, chance=max(spent - used, 0.0)), single * math.sqrt(t))
        used += chance_above(state, t, bound=bound)
        state = carry(state, t, bound=bound, next_step=_next_step(shares, look))
        zs.append(bound / math.sqrt(t))
    return tuple(zs)


def _next_step(shares: Sequence[float], look: int) -> float:
    """What the next look that counts adds."""
    return next((t - shares[look] for t in shares[look + 1 :] if t - shares[look] > MIN_STEP), math.inf)


def _check(shares: Sequence[float]) -> None:
    if len(shares) > MAX_LOOKS:
        raise InvalidInput(f"{len(shares)} looks; a group-sequential plan has at most {MAX_LOOKS}, use engine anytime to watch")
    if any(not 0 < t <= 1 for t in shares) or any(later < earlier for earlier, later in pairwise(shares)):
        raise InvalidInput(f"the information shares are {list(shares)}; they lie above 0, are at most 1 and do not fall")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was declared before the start, and the looks so far: `shares` of `max_information` = 1/se^2 at the maximum `max_n`.

    `closed` is set by the look at the maximum; after it there is none.
    """

    max_n: int
    max_information: float
    shares: tuple[float, ...] = ()
    closed: bool = False

    def __post_init__(self) -> None:
        if self.max_n < 1 or not 0 < self.max_information < math.inf:
            raise InvalidInput(f"{self} declares no maximum; engine gst needs a max_n of at least 1 and its information")
        _check(self.shares)


def declared(max_n: int, *, variance: float) -> Plan:
    """The plan for an estimate whose variance is `variance`/n after n units (`forecast.Forecast.variance`)."""
    return Plan(max_n=max_n, max_information=max_n / variance if variance > 0 else math.inf)


def look(plan: Plan, estimate: Estimate) -> Plan:
    """The plan with this look added. An estimate that may not be used takes no look, so nothing is spent.

    Raises IllegalMove beyond the declared maximum: the plan is over, and so is the test.
    """
    if plan.closed or estimate.n > plan.max_n:
        raise IllegalMove(
            f"n = {estimate.n:,} is beyond the declared maximum {plan.max_n:,}: this test is over and is never extended; "
            "the verdict is inconclusive, start a new rollout to learn more"
        )
    if estimate.state is not State.OK:
        return plan
    share = min(1.0, 1 / estimate.se**2 / plan.max_information)
    share = max((*plan.shares[-1:], share))
    return replace(plan, shares=(*plan.shares, share), closed=share == 1 or estimate.n == plan.max_n)


def compare(estimate: Estimate, plan: Plan, *, spending: Spending) -> Comparison:
    """The estimate with its repeated interval, estimate -+ z se, at the last look of `plan`, which `look` has added.

    All looks' intervals hold together with probability 1 - alpha, so they may be compared with any margin. It claims no evidence.
    """
    if estimate.state is not State.OK or estimate.value is None:
        return unusable(estimate, method="group-sequential", alpha=spending.alpha)
    if not plan.shares:
        raise InvalidInput("the plan has no look yet; add this one with `look` first")
    half = boundaries(plan.shares, spending, closing=plan.closed)[-1] * estimate.se
    return Comparison(
        estimate=estimate.value,
        lower=estimate.value - half,
        upper=estimate.value + half,
        n=estimate.n,
        method="group-sequential",
        alpha=spending.alpha,
    )
