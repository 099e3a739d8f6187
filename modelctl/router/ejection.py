"""When an endpoint that answers badly is left out, and for how long: the outlier detection of Envoy, clock-free."""

from collections.abc import Sequence
from math import sqrt

from modelctl.policy import Ejection

_ROUNDING = 1e-9  # the mean of equal rates may come out above each of them


class Outcomes:
    """What the requests to one endpoint ended with.

    `streak` is how many failed in a row; `succeeded` and `failed` count the current interval. `until` is when its ejection ends
    (the clock's seconds; 0 while there is none), `ejections` how many it has had, and `level` how many times as long as the
    first its last one was: it falls by one with every interval outside.
    """

    __slots__ = ("ejections", "failed", "level", "streak", "succeeded", "until")

    def __init__(self) -> None:
        self.streak = self.succeeded = self.failed = self.ejections = self.level = 0
        self.until = 0.0

    def succeed(self) -> None:
        """A request was answered, with a status below 500."""
        self.streak = 0
        self.succeeded += 1

    def fail(self) -> None:
        """A request was answered 5xx, or not."""
        self.streak += 1
        self.failed += 1

    def eject(self, rule: Ejection, now: float) -> None:
        """Out, for longer each time."""
        self.ejections += 1
        if not self.level or self.level * rule.base_ms < rule.longest_ms:
            self.level += 1
        self.until = now + min(self.level * rule.base_ms, rule.longest_ms) / 1000
        self.streak = 0

    def come_back(self) -> None:
        """Its ejection is over, and with it what the ejection was for."""
        self.until = 0.0
        self.streak = self.succeeded = self.failed = 0

    def next_interval(self) -> None:
        """An interval is over."""
        self.succeeded = self.failed = 0
        if not self.until and self.level:
            self.level -= 1

    def resemble(self, other: "Outcomes") -> None:
        """It is the same endpoint as `other`, in a new description of the backend."""
        self.ejections, self.level, self.until = other.ejections, other.level, other.until


def most_out(count: int, rule: Ejection) -> int:
    """How many of `count` endpoints may be ejected at a time: one at least, unless the rule says none; never all."""
    if not rule.most_percent:
        return 0
    return min(max(1, count * rule.most_percent // 100), count - 1)


def outliers(outcomes: Sequence[Outcomes], rule: Ejection) -> list[int]:
    """The places of those whose success rate in this interval is too far below the mean of all, the worst first.

    Only endpoints with enough requests count, and when there are too few of those, no deviation means anything.
    """
    asked = [(number, it.succeeded + it.failed) for number, it in enumerate(outcomes)]
    rates = [(outcomes[number].succeeded / total, number) for number, total in asked if total >= rule.minimum_requests]
    if len(rates) < rule.minimum_endpoints:
        return []
    mean = sum(rate for rate, _ in rates) / len(rates)
    deviation = sqrt(sum((rate - mean) ** 2 for rate, _ in rates) / len(rates))
    least = mean - deviation * rule.deviations / 10 - _ROUNDING
    return [number for rate, number in sorted(rates) if rate < least]
