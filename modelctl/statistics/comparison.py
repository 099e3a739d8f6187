"""The result of every method: an estimate, its always-valid interval, and whether they may be used."""

import math
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Whether a comparison may decide. Every state but OK means "not proven", never "passed"."""

    OK = "ok"
    NO_DATA = "no-data"
    DEGENERATE = "degenerate"
    GATE = "gate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """How the candidate differs from the baseline on one metric.

    `lower` and `upper` are in the units of `estimate`; while `state` is not OK they are the whole range the value can take.
    `null` is the value that means "no difference": 0, or 1 for a ratio, or an SLO. `log_e` is the evidence against it.
    `n` counts what the method counts: units, pairs, or events. `reason` is a sentence, empty when OK.
    """

    estimate: float | None
    lower: float = -math.inf
    upper: float = math.inf
    n: int
    method: str
    alpha: float
    null: float = 0.0
    log_e: float = 0.0
    state: State = State.OK
    reason: str = ""

    def __post_init__(self) -> None:
        numbers = (self.lower, self.upper, self.log_e, self.null, 0.0 if self.estimate is None else self.estimate)
        if any(math.isnan(number) for number in numbers):
            raise ArithmeticError(f"{self.method} made a NaN of {self.n} observations: {self}")

    @property
    def usable(self) -> bool:
        """Whether the interval may decide something."""
        return self.state is State.OK

    @property
    def p(self) -> float:
        """The anytime p-value against `null`."""
        return anytime_p(self.log_e)

    def harm(self, *, higher_is_better: bool) -> tuple[float, float]:
        """The interval as harm: above 0 means that the candidate is worse."""
        lower, upper = self.lower - self.null, self.upper - self.null
        return (-upper, -lower) if higher_is_better else (lower, upper)


def anytime_p(log_e: float) -> float:
    """min(1, 1/E): a p-value that stays valid however often one looks."""
    return math.exp(-max(log_e, 0.0))
