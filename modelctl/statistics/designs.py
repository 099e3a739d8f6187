"""What is assumed when a metric is planned: one value a design, with the variance of its estimate and what must be excluded.

`harm` is the assumed effect, above 0 when the candidate is worse. A success metric has margin 0 and a harm below 0; a guardrail
has a margin, and a harm of 0 unless something is known. `distance` is |margin - harm|.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from modelctl.errors import InvalidInput
from modelctl.statistics.sample_size import bernoulli, larger


class Unit(StrEnum):
    """What a design counts."""

    REQUESTS = "requests"
    PAIRS = "pairs"
    EVENTS = "events"


class Design(Protocol):
    """What a forecast needs. `share` is the candidate's share of the requests, or that of the requests shown to it.

    `variance` is the estimate's, times the units; `per_request` is how many units one request of the route gives.
    """

    @property
    def unit(self) -> Unit: ...
    @property
    def share(self) -> float: ...
    @property
    def variance(self) -> float: ...
    @property
    def harm(self) -> float: ...
    @property
    def distance(self) -> float: ...
    @property
    def per_request(self) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportions:
    """Difference of two rates, each 0..1, on unpaired requests. `margin` is absolute.

    `per_request` is below 1 when only a part of the requests counts, as when few of them get a label.
    """

    baseline: float
    candidate: float
    share: float
    margin: float = 0.0
    higher_is_better: bool = False
    unit: Unit = Unit.REQUESTS
    per_request: float = 1.0

    @property
    def harm(self) -> float:
        gap = self.candidate - self.baseline
        return -gap if self.higher_is_better else gap

    @property
    def variance(self) -> float:
        return larger(bernoulli(self.baseline), bernoulli(self.candidate), share=self.share, gap=self.harm)

    @property
    def distance(self) -> float:
        return abs(self.margin - self.harm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """Difference of two means on unpaired requests, whose values have these standard deviations."""

    baseline_sd: float
    candidate_sd: float
    share: float
    harm: float = 0.0
    margin: float = 0.0
    unit: Unit = Unit.REQUESTS
    per_request: float = 1.0

    @property
    def variance(self) -> float:
        return larger(self.baseline_sd**2, self.candidate_sd**2, share=self.share, gap=self.harm)

    @property
    def distance(self) -> float:
        return abs(self.margin - self.harm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Ratio of two event rates from the events' arms. `margin` is relative: 0.2 tolerates 20 % more. Distances are of ln ratio.

    `baseline_rate` is the baseline's events per request. The error of ln ratio is 1/sqrt(n pi (1 - pi)), with pi the
    candidate's part of the events: without an effect, or with it when that part is smaller.
    """

    ratio: float
    share: float
    baseline_rate: float = 1.0
    margin: float = 0.0
    unit: Unit = Unit.EVENTS

    def __post_init__(self) -> None:
        if not (self.ratio > 0 and self.margin > -1 and 0 < self.share < 1 and self.baseline_rate >= 0):
            raise InvalidInput(f"{self} cannot be planned: ratios above 0, a share between 0 and 1, a rate of 0 or more")

    @property
    def harm(self) -> float:
        return math.log(self.ratio)

    @property
    def variance(self) -> float:
        part = self.share * self.ratio / (self.share * self.ratio + 1 - self.share)
        return 1 / bernoulli(min(part, self.share))

    @property
    def distance(self) -> float:
        return abs(math.log1p(self.margin) - self.harm)

    @property
    def per_request(self) -> float:
        return self.baseline_rate * (1 - self.share + self.share * self.ratio)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Both arms on the same requests, of which `share` are shown to the candidate. `harm` is what is lost."""

    harm: float = 0.0
    margin: float = 0.0
    share: float = 1.0
    unit: Unit = Unit.PAIRS

    @property
    def distance(self) -> float:
        return abs(self.margin - self.harm)

    @property
    def per_request(self) -> float:
        return self.share


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedOutcomes(Paired):
    """Right or wrong on the same requests: `discordance` is the share of pairs of which one is right."""

    discordance: float

    def __post_init__(self) -> None:
        if not abs(self.harm) <= self.discordance <= 1:
            raise InvalidInput(f"{self} cannot be: the harm is at most the share of pairs that differ, and that is at most 1")

    @property
    def variance(self) -> float:
        return self.discordance - self.harm**2


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedMeans(Paired):
    """The mean of candidate minus baseline on the same requests. `sd` is that of the differences: `sample_size.paired_variance`."""

    sd: float

    @property
    def variance(self) -> float:
        return self.sd**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One arm's `rate` against an absolute limit (an SLO). It counts the candidate's own requests."""

    rate: float
    limit: float
    share: float = 1.0
    unit: Unit = Unit.REQUESTS

    def __post_init__(self) -> None:
        if not 0 < self.limit < 1:
            raise InvalidInput(f"the limit is {self.limit}; a share of requests to stay below lies between 0 and 1")

    @property
    def harm(self) -> float:
        return self.rate

    @property
    def variance(self) -> float:
        return max(bernoulli(self.rate), bernoulli(self.limit)) if self.rate else 0.0

    @property
    def distance(self) -> float:
        return abs(self.limit - self.rate)

    @property
    def per_request(self) -> float:
        return self.share
