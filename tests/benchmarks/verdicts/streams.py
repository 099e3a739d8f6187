"""The streams that every rule judges: a canary's units and errors at every thousandth request."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelctl.statistics.arrays import Floats
from tests.statistics.acceptance import canary
from tests.statistics.acceptance.canary import Counts, Traffic

BATCH = 1_000
"""Requests between two looks."""


@dataclass(frozen=True, slots=True)
class Streams:
    """`counts` by run, look and stage; `shares` by stage; `points` are the error rates of single intervals, baseline and candidate.

    The baseline's points are over as many requests as the candidate got: tools that work by intervals want that.
    """

    counts: Counts
    shares: Floats
    points: tuple[Floats, Floats]

    @property
    def looks(self) -> int:
        """How often each run is looked at."""
        return int(self.counts.n_a.shape[1])

    def part(self, runs: slice) -> "Streams":
        """Some of the runs."""
        n_a, n_b, k_a, k_b = (one[runs] for one in (self.counts.n_a, self.counts.n_b, self.counts.k_a, self.counts.k_b))
        return Streams(Counts(n_a, n_b, k_a, k_b), self.shares, (self.points[0][runs], self.points[1][runs]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Errors of the candidate at `ratio` times the baseline's 1 %, a 5 % canary; or a ramp with drift."""

    title: str
    ratio: float = 1.0
    looks: int = 400
    ramp: bool = False

    def draw(self, rng: np.random.Generator, runs: int) -> Streams:
        """The streams of so many runs."""
        if self.ramp:
            counts = canary.ramp(rng, runs=runs, looks=self.looks // len(canary.SHARES), batch=BATCH, ratio=self.ratio)
            return Streams(counts, canary.SHARES, intervals(rng, counts.over_stages()))
        flat = canary.flat(rng, Traffic(p_b=0.01 * self.ratio, batch=BATCH, looks=self.looks), runs=runs)
        counts = Counts(flat.n_a[..., None], flat.n_b[..., None], flat.k_a[..., None], flat.k_b[..., None])
        return Streams(counts, np.array([0.05]), intervals(rng, flat))


def intervals(rng: np.random.Generator, counts: Counts) -> tuple[Floats, Floats]:
    """The rates of single intervals. One without a candidate's request counts as one without errors."""
    n_a, n_b, k_a, k_b = (
        np.diff(one, axis=1, prepend=0).astype(np.int64) for one in (counts.n_a, counts.n_b, counts.k_a, counts.k_b)
    )
    size = np.minimum(n_a, n_b)
    sample = rng.hypergeometric(k_a, n_a - k_a, size)
    return sample / np.maximum(size, 1), k_b / np.maximum(n_b, 1)


EQUAL = (Scenario(title="equal"), Scenario(title="equal, ramp", looks=100, ramp=True))
WORSE: Sequence[Scenario] = (
    Scenario(title="x1.5", ratio=1.5),
    Scenario(title="x2", ratio=2.0),
    Scenario(title="x3", ratio=3.0),
    Scenario(title="x10", ratio=10.0),
    Scenario(title="x2, ramp", ratio=2.0, looks=100, ramp=True),
)
