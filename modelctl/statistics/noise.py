"""How much the baseline differs from itself (A/A'), and which fields of a candidate differ more than that.

Per field and request: raw, the candidate's value differs from the baseline's; noise, a second baseline's does. The two share the
baseline's answer, so they are paired, and only requests where exactly one of them differs tell anything.
Sources: Diffy (twitter-archive 6212af84, JoinedDifferences); Wang & Ramdas (2022), e-BH.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from modelctl.errors import InvalidInput
from modelctl.statistics import coin
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.multiplicity import e_bh
from modelctl.statistics.tuning import ALPHA, COIN_CONCENTRATION

FALSE_DISCOVERIES = 0.10
"""The share of flagged fields that may be noise: exploratory."""

TOO_NOISY = 0.20
"""A field that differs from itself more often than this is proposed for exclusion."""

DIFFY_RELATIVE = 20.0
DIFFY_ABSOLUTE = 0.03
"""Diffy's default thresholds, in percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldCounts:
    """Of `total` requests, those where the field was `raw`, `noise`, and `both` of it."""

    total: int
    raw: int
    noise: int
    both: int

    def __post_init__(self) -> None:
        if not (0 <= self.both <= min(self.raw, self.noise) and self.raw + self.noise - self.both <= self.total):
            raise InvalidInput(f"{self} cannot be: each is a part of the requests, and both is a part of raw and of noise")

    @property
    def discordant(self) -> int:
        """Requests where exactly one of candidate and second baseline differs."""
        return self.raw + self.noise - 2 * self.both

    @property
    def excess(self) -> int:
        """Those where it is the candidate."""
        return self.raw - self.both

    @property
    def relative_percent(self) -> float | None:
        """Diffy's |raw - noise|/(raw + noise); None when neither ever differed."""
        return 100 * abs(self.raw - self.noise) / (self.raw + self.noise) if self.raw + self.noise else None

    @property
    def absolute_percent(self) -> float | None:
        """Diffy's |raw - noise|/total; None without requests."""
        return 100 * abs(self.raw - self.noise) / self.total if self.total else None

    @property
    def flagged_by_diffy(self) -> bool:
        """Diffy's rule, for comparison only: with equal noise it flags a field of ten differences 17 % of the time."""
        relative, absolute = self.relative_percent or 0.0, self.absolute_percent or 0.0
        return self.raw > self.noise and relative > DIFFY_RELATIVE and absolute > DIFFY_ABSOLUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyField:
    """`flagged`: it differs more than noise does. `exclude`: proposed for exclusion, never excluded silently.

    `evidence` is the share of the candidate among discordant requests against 1/2, `noise` the share of requests with noise.
    """

    counts: FieldCounts
    evidence: Comparison
    noise: Comparison
    flagged: bool
    exclude: bool


def excess(counts: FieldCounts, *, alpha: float = ALPHA, kappa: float = COIN_CONCENTRATION) -> Comparison:
    """Under "no more than noise", the candidate is the one that differs in at most half of the discordant requests."""
    return coin.compare(counts.excess, counts.discordant, null=0.5, alpha=alpha, kappa=kappa)


def noise_floor(fields: Mapping[str, FieldCounts], *, alpha: float = ALPHA) -> dict[str, NoisyField]:
    """All fields, in their order; flagged by e-BH at a false discovery rate of 10 %, under any dependence between fields."""
    evidence = {name: excess(counts, alpha=alpha) for name, counts in fields.items()}
    upward = [_upward(fields[name], found) for name, found in evidence.items()]
    names = list(fields)
    flagged = {names[index] for index in e_bh(upward, alpha=FALSE_DISCOVERIES)}
    return {name: _judged(counts, evidence[name], flagged=name in flagged, alpha=alpha) for name, counts in fields.items()}


def _upward(counts: FieldCounts, found: Comparison) -> float:
    """The evidence when it speaks for the candidate; that for less than noise is none. Only smaller, so still an e-value."""
    return found.log_e if 2 * counts.excess > counts.discordant else float("-inf")


def _judged(counts: FieldCounts, evidence: Comparison, *, flagged: bool, alpha: float) -> NoisyField:
    noise = coin.compare(counts.noise, counts.total, null=TOO_NOISY, alpha=alpha)
    return NoisyField(counts=counts, evidence=evidence, noise=noise, flagged=flagged, exclude=noise.lower > TOO_NOISY)
