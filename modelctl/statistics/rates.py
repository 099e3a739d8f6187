"""Two Poisson rates at a fixed horizon: given all events, the candidate's are a binomial share. Valid for one look only.

Source: Przyborowski & Wilenski (1940). The sequential test of the same question is `arm_given_event`.
"""

import math
from dataclasses import dataclass

from scipy.stats import binomtest

from modelctl.errors import InvalidInput
from modelctl.statistics.comparison import State
from modelctl.statistics.difference import Proportion
from modelctl.statistics.proportions import clopper_pearson


@dataclass(frozen=True, slots=True)
class Events:
    """`k` events in an `exposure` (seconds, requests) of 0 or more. Raises InvalidInput for events without exposure."""

    k: int
    exposure: float

    def __post_init__(self) -> None:
        if self.k < 0 or not 0 <= self.exposure < math.inf or (self.k and not self.exposure):
            raise InvalidInput(f"{self.k} events in an exposure of {self.exposure} cannot be; measure both over the same time")


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRatio:
    """Candidate rate over baseline rate with its exact interval. `ratio` is None without events, inf when only the candidate has.

    `p` is two-sided by minimum likelihood, which differs from twice the smaller side.
    """

    ratio: float | None
    lower: float = 0.0
    upper: float = math.inf
    p: float = 1.0
    p_candidate_greater: float = 1.0
    p_candidate_less: float = 1.0
    state: State = State.OK


def rate_ratio(baseline: Events, candidate: Events, *, confidence: float = 0.95) -> RateRatio:
    """k_b of k_a + k_b events is binomial with share e_b/(e_a + e_b) when the rates are equal; Clopper-Pearson, as a ratio."""
    events, exposure = baseline.k + candidate.k, baseline.exposure + candidate.exposure
    if not events or not (baseline.exposure and candidate.exposure):
        return RateRatio(ratio=None, state=State.NO_DATA)
    lower, upper = clopper_pearson(Proportion(events, candidate.k), confidence=confidence)
    scale = baseline.exposure / candidate.exposure
    share = candidate.exposure / exposure
    p, greater, less = (
        min(float(binomtest(candidate.k, events, share, alternative=side).pvalue), 1.0) for side in ("two-sided", "greater", "less")
    )
    return RateRatio(
        ratio=candidate.k / baseline.k * scale if baseline.k else math.inf,
        lower=lower / (1 - lower) * scale,
        upper=upper / (1 - upper) * scale if upper < 1 else math.inf,
        p=p,
        p_candidate_greater=greater,
        p_candidate_less=less,
    )
