"""An effect that only some requests can show: outcomes can differ only where the two models' answers differ.

With both answers logged for every request of both arms (canary and shadow together), the effect is estimated on the requests
where they differ and diluted by their share q; the variance falls by the factor q. Not for latency, which differs everywhere.
Source: Deng & Hu (2015), "Diluted treatment effect estimation for trigger analysis in online controlled experiments".
"""

from dataclasses import dataclass, replace

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.estimate import Estimate, anytime


@dataclass(frozen=True, slots=True)
class Trigger:
    """`n_t` of all `n` requests could show an effect. Both arms' requests are counted."""

    n_t: int
    n: int

    def __post_init__(self) -> None:
        if not 0 <= self.n_t <= self.n:
            raise InvalidInput(f"{self.n_t} of {self.n} requests cannot be; those whose answers differ are part of all")

    @property
    def share(self) -> float:
        """q, 0 without requests."""
        return self.n_t / self.n if self.n else 0.0


def dilute(triggered: Estimate, trigger: Trigger) -> Estimate:
    """The effect over all requests from the one over those that differ: estimate and error times q, the same z. `n` is all.

    Raises InvalidInput for an effect over no requests.
    """
    if triggered.state is State.OK and not trigger.n_t:
        raise InvalidInput("no request shows a difference, so there is no effect over such requests to dilute")
    value = None if triggered.value is None else triggered.value * trigger.share
    return replace(triggered, value=value, se=triggered.se * trigger.share, n=trigger.n)


def compare(triggered: Estimate, trigger: Trigger, *, tau: float, alpha: float) -> Comparison:
    """The diluted effect with its always-valid interval; `tau` belongs to the effect over all requests, as its margin does."""
    return anytime(dilute(triggered, trigger), tau=tau, alpha=alpha)
