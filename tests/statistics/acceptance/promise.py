"""What a method promises and what a simulation found: the rows of the acceptance table in docs/statistics.md.

A bound on false alarms is the 1e-4 upper tail of a binomial at the nominal error level, so a correct method passes with nearly
any seed. A control is a broken method on the same streams, which must be seen to break: a harness that cannot see it proves
nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from modelctl.statistics import normal_mixture
from modelctl.statistics.arrays import Floats

Bools = NDArray[np.bool_]

LOG_20 = float(np.log(20))
"""log E that rejects at 5 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """`found` kept its promise when it is at most `bound`, or at least with `at_least`. `runs`: of how many streams."""

    setting: str
    found: float
    bound: float
    at_least: bool = False
    runs: int = 0
    nominal: str = ""
    control: bool = False

    @property
    def kept(self) -> bool:
        """Whether the promise holds."""
        return self.found >= self.bound if self.at_least else self.found <= self.bound

    @property
    def figure(self) -> str:
        """What was found, as a cell of the table."""
        if self.runs:
            return f"{self.found:,.0f} of {self.runs:,} ({self.found / self.runs:.1%})"
        return f"{self.found:,.0f}" if self.found >= 100 else f"{self.found:.4g}"

    @property
    def limit(self) -> str:
        """The bound, as a cell of the table."""
        return f"{'≥' if self.at_least else '≤'} {self.bound:,.6g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One line of the acceptance list. `measure` takes the number of streams; `quick` is how many `make test` takes, 0 for none."""

    id: str
    measure: Callable[[int], Sequence[Measured]]
    runs: int
    quick: int = 0


def most(runs: int, rate: float) -> int:
    """The most false alarms that a method with this true error rate may show: exceeded once in 10,000 suites."""
    return int(binom.isf(1e-4, runs, rate))


def alarms(rejected: NDArray[Any]) -> int:
    """Runs (rows) with at least one rejection over all looks (columns)."""
    return int(rejected.astype(bool).any(axis=1).sum())


def false_alarms(setting: str, found: int, *, runs: int, rate: float = 0.05) -> Measured:
    """The promise of an error level."""
    return Measured(setting=setting, found=found, bound=most(runs, rate), runs=runs, nominal=f"{rate:.3g}")


def control(setting: str, found: int, *, runs: int, share: float) -> Measured:
    """A broken method must raise false alarms in at least this share of the streams."""
    return Measured(setting=setting, found=found, bound=share * runs, runs=runs, at_least=True, control=True)


def batches(runs: int, size: int) -> Iterator[int]:
    """`runs` in parts of at most `size`, so that the arrays of one part fit into memory."""
    for start in range(0, runs, size):
        yield min(size, runs - start)


def first_look(seen: Bools, *, never: float = np.inf) -> Floats:
    """The 1-based look at which each run (row) was first seen; `never` when it was not."""
    return np.where(seen.any(axis=1), seen.argmax(axis=1) + 1.0, never)


def cumulative(draws: NDArray[Any]) -> Floats:
    """Sums over the looks, axis 1."""
    return np.cumsum(draws, axis=1, dtype=np.float64)


def outside(estimate: Floats, se: Floats, *, truth: float, tau: float) -> Bools:
    """Where the 95 % interval misses the truth; a standard error of 0 claims certainty, as a naive watcher would."""
    safe = np.where(se > 0, se, 1.0)
    half = np.where(se > 0, normal_mixture.half_width(safe, tau=tau, alpha=0.05), 0.0)
    missed: Bools = np.abs(estimate - truth) > half
    return missed
