"""An estimate that is large-sample normal, before an engine makes an interval of it.

Differences, adjusted differences and clustered ratios end here; the normal mixture or the group-sequential boundary goes on.
"""

from dataclasses import dataclass

from scipy.special import ndtri

from modelctl.statistics import normal_mixture
from modelctl.statistics.comparison import Comparison, State


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A `value` with its standard error `se`, from `n` units. In every state but OK nothing may be claimed; `reason` says why."""

    value: float | None
    se: float = 0.0
    n: int
    state: State = State.OK
    reason: str = ""


def settled(value: float | None, se: float, *, n: int, few: str) -> Estimate:
    """The estimate behind its gate: `few` says what is missing, or is empty. Without variation it is DEGENERATE."""
    if value is None or few:
        return Estimate(value=value, n=n, state=State.NO_DATA if value is None else State.GATE, reason=few or "no data yet")
    if se == 0:
        return Estimate(value=value, n=n, state=State.DEGENERATE, reason=f"no variation in {n:,} observations")
    return Estimate(value=value, se=se, n=n)


def anytime(estimate: Estimate, *, tau: float, alpha: float) -> Comparison:
    """The estimate with its normal-mixture interval against 0; the whole line in every state but OK."""
    if estimate.state is not State.OK or estimate.value is None:
        return unusable(estimate, method="normal-mixture", alpha=alpha)
    return normal_mixture.compare(estimate.value, estimate.se, n=estimate.n, tau=tau, alpha=alpha)


def single_look(estimate: Estimate, *, alpha: float) -> Comparison:
    """The estimate with the ordinary interval, valid for one look that was planned; the whole line in every state but OK."""
    return at_z(estimate, -float(ndtri(alpha / 2)), method="single-look", alpha=alpha)


def at_z(estimate: Estimate, z: float, *, method: str, alpha: float) -> Comparison:
    """estimate -+ z se. It claims no evidence."""
    if estimate.state is not State.OK or estimate.value is None:
        return unusable(estimate, method=method, alpha=alpha)
    lower, upper = estimate.value - z * estimate.se, estimate.value + z * estimate.se
    return Comparison(estimate=estimate.value, lower=lower, upper=upper, n=estimate.n, method=method, alpha=alpha)


def unusable(estimate: Estimate, *, method: str, alpha: float) -> Comparison:
    """The estimate, if there is one, with nothing claimed: the interval is the whole line and E is 1."""
    return Comparison(
        estimate=estimate.value, n=estimate.n, method=method, alpha=alpha, state=estimate.state, reason=estimate.reason
    )


def too_few(have: float, what: str, *, minimum: float) -> str:
    """The sentence of a gate, empty when it is passed."""
    return "" if have >= minimum else f"{have:.4g} {what}, {minimum} are needed"
