"""Simulated canaries: units and events of both arms at every look."""

from dataclasses import dataclass

import numpy as np

from modelctl.statistics import difference
from modelctl.statistics.arrays import Floats
from tests.statistics.acceptance.promise import cumulative

SHARES = np.array([0.01, 0.05, 0.2, 0.5])
"""A ramp."""

DRIFT = np.array([0.004, 0.02, 0.01, 0.002])
"""The baseline's error rate while the ramp is at each of its stages: pooled rows see a better candidate, and it is none."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Cumulative units and events, baseline a and candidate b: one row for each run, one column for each look, then the stages."""

    n_a: Floats
    n_b: Floats
    k_a: Floats
    k_b: Floats

    @property
    def gap(self) -> Floats:
        """p_b - p_a; 0 where an arm is empty."""
        return self.k_b / np.maximum(self.n_b, 1) - self.k_a / np.maximum(self.n_a, 1)

    @property
    def variances(self) -> tuple[Floats, Floats]:
        """Unpooled and pooled."""
        n_a, n_b = np.maximum(self.n_a, 1), np.maximum(self.n_b, 1)
        return difference.proportion_variances(n_a, n_b, k_a=self.k_a, k_b=self.k_b)

    @property
    def expected(self) -> Floats:
        """What the gate counts."""
        return difference.expected_events(self.n_a, self.n_b, k_a=self.k_a, k_b=self.k_b)

    def over_stages(self) -> "Counts":
        """The rows of all stages in one heap, as a naive analysis takes them."""
        n_a, n_b, k_a, k_b = (part.sum(axis=-1) for part in (self.n_a, self.n_b, self.k_a, self.k_b))
        return Counts(n_a, n_b, k_a, k_b)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """`batch` requests between two of `looks` looks; the candidate gets `share` and fails at `p_b`, the baseline at `p_a`."""

    p_a: float = 0.01
    p_b: float = 0.01
    share: float = 0.05
    batch: int = 1000
    looks: int = 300


def flat(rng: np.random.Generator, traffic: Traffic, *, runs: int) -> Counts:
    """A canary with one share throughout."""
    n_b = rng.binomial(traffic.batch, traffic.share, size=(runs, traffic.looks))
    k_a, k_b = rng.binomial(traffic.batch - n_b, traffic.p_a), rng.binomial(n_b, traffic.p_b)
    return Counts(cumulative(traffic.batch - n_b), cumulative(n_b), cumulative(k_a), cumulative(k_b))


def ramp(rng: np.random.Generator, *, runs: int, looks: int, batch: int, ratio: float = 1.0) -> Counts:
    """A ramp over SHARES while the rate drifts as in DRIFT, `looks` looks a stage. The last axis is the stage."""
    now = np.repeat(np.eye(len(SHARES), dtype=np.int64), looks, axis=0)
    n_b = rng.binomial(batch, SHARES, size=(runs, len(now), len(SHARES)))
    k_a, k_b = rng.binomial(batch - n_b, DRIFT), rng.binomial(n_b, ratio * DRIFT)
    return Counts(*(cumulative(part * now) for part in (batch - n_b, n_b, k_a, k_b)))
