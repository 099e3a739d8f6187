"""Rules that stop a canary, each as a function from streams to what it claims at every look: +1 worse, -1 better, 0 nothing."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtr

from modelctl.statistics import arm_given_event, difference, normal_mixture, tuning
from modelctl.statistics.arrays import Floats
from tests.benchmarks.verdicts.streams import Streams

ALPHA = 0.05
TAU = 0.005
"""The product's tuning for differences of failure rates: half a point."""


Z = float(ndtri(1 - ALPHA / 2))


@dataclass(frozen=True, slots=True)
class Rule:
    """A name for the table, and the claims."""

    title: str
    claims: Callable[[Streams], Floats]


def modelctl(streams: Streams) -> Floats:
    """The two guarded rows of a split, each at half the error level: the arms of the errors, and the stratified difference."""
    level = tuning.split_alpha(ALPHA, {"ratio": 1.0, "difference": 1.0})["ratio"]
    return np.clip(by_arms(streams, level) + by_difference(streams, level), -1, 1)


def by_arms(streams: Streams, alpha: float) -> Floats:
    """Arm given event: the ratio of 1 is left out of the interval, on the side of the best ratio."""
    heads, total = streams.counts.k_b, streams.counts.k_a + streams.counts.k_b
    proven = arm_given_event.log_e(heads, total, shares=streams.shares) > tuning.log_threshold(alpha)
    side: Floats = np.sign(heads.sum(axis=-1) - total @ streams.shares)
    return np.where(proven, side, 0.0)


def by_difference(streams: Streams, alpha: float) -> Floats:
    """The stage-stratified normal mixture, gated on 10 expected errors."""
    counts = streams.counts
    weights = difference.overlap(counts.n_a, counts.n_b)
    estimate, se = difference.stratify(counts.gap, np.maximum(*counts.variances), weights=weights)
    ready = (counts.expected.sum(axis=-1) >= difference.MIN_EXPECTED_EVENTS) & (se > 0)
    half = normal_mixture.half_width(np.where(ready, se, 1.0), tau=TAU, alpha=alpha)
    return np.where(ready & (np.abs(estimate) > half), np.sign(estimate), 0.0)


def t_test(streams: Streams) -> Floats:
    """Welch's t-test at 5 % on all rows so far, as if each look were the only one."""
    heap = streams.counts.over_stages()
    n_a, n_b = np.maximum(heap.n_a, 2), np.maximum(heap.n_b, 2)
    p_a, p_b = heap.k_a / n_a, heap.k_b / n_b
    v_a, v_b = p_a * (1 - p_a) / (n_a - 1), p_b * (1 - p_b) / (n_b - 1)
    both = np.maximum(v_a + v_b, 1e-300)
    freedom = both**2 / np.maximum(v_a**2 / (n_a - 1) + v_b**2 / (n_b - 1), 1e-300)
    t = (p_b - p_a) / np.sqrt(both)
    p = 2 * stdtr(freedom, -np.abs(t))
    return np.where((p < ALPHA) & (v_a + v_b > 0), np.sign(t), 0.0)


def z_test(streams: Streams) -> Floats:
    """The two-proportion z-test with the pooled rate at 5 %, on all rows so far, as if each look were the only one."""
    heap = streams.counts.over_stages()
    se = np.sqrt(heap.variances[1])
    z = heap.gap / np.where(se > 0, se, np.inf)
    return np.where(np.abs(z) > Z, np.sign(z), 0.0)


OURS = Rule("modelctl", modelctl)
PEEKED = (Rule("Welch's t-test", t_test), Rule("pooled z-test", z_test))
