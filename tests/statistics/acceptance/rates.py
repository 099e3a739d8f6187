"""A3, A5 to A9: rates of events, by the difference and by the arm of each event, on flat canaries and on a ramp; and pairs."""

import numpy as np

from modelctl.statistics import arm_given_event, difference, grid_betting
from modelctl.statistics.arrays import Floats
from tests.statistics.acceptance.canary import SHARES, Counts, Traffic, flat, ramp
from tests.statistics.acceptance.promise import (
    LOG_20,
    Bools,
    Case,
    Measured,
    alarms,
    batches,
    control,
    cumulative,
    false_alarms,
    first_look,
    outside,
)


def missed_difference(counts: Counts, *, truth: float, tau: float) -> Bools:
    """Where the product's interval of a difference misses the truth: the larger error, and 10 expected events."""
    ready = counts.expected >= difference.MIN_EXPECTED_EVENTS
    missed: Bools = ready & outside(counts.gap, np.sqrt(np.maximum(*counts.variances)), truth=truth, tau=tau)
    return missed


def rare_errors(runs: int) -> list[Measured]:
    """A3."""
    found = []
    for rate, batch in ((0.01, 1000), (0.001, 3000)):
        rng, kept, naive = np.random.default_rng(3), 0, 0
        for part in batches(runs, 1000):
            counts = flat(rng, Traffic(p_a=rate, p_b=rate, batch=batch), runs=part)
            kept += alarms(missed_difference(counts, truth=0.0, tau=rate / 2))
            naive += alarms(outside(counts.gap, np.sqrt(counts.variances[0]), truth=0.0, tau=rate / 2))
        found += [
            false_alarms(f"difference of error rates of {rate:.1%}, 5 % canary, 300 looks", kept, runs=runs),
            control("the same unpooled and without a gate", naive, runs=runs, share=0.2),
        ]
    return found


def true_differences(runs: int) -> list[Measured]:
    """A5."""
    found = []
    for p_a, p_b in ((0.01, 0.03), (0.03, 0.01)):
        counts = flat(np.random.default_rng(5), Traffic(p_a=p_a, p_b=p_b), runs=runs)
        missed = alarms(missed_difference(counts, truth=p_b - p_a, tau=0.01))
        found.append(false_alarms(f"true difference of {p_a:.0%} and {p_b:.0%} missed, 5 % canary", missed, runs=runs))
    return found


def pairs_at_the_margin(runs: int) -> list[Measured]:
    """A6: 2 % of pairs differ, and the truth is exactly what must not be rejected."""
    found = []
    for theta0 in (-0.01, 0.0, -0.005):
        rng = np.random.default_rng(6)
        won, lost = 0.01 + theta0 / 2, 0.01 - theta0 / 2
        counts = rng.multinomial(25, [won, 1 - won - lost, lost], size=(runs, 160))
        n_pos, n_zero, n_neg = (cumulative(counts[..., column]) for column in range(3))
        wealth = grid_betting.log_e_up(n_pos, n_zero, n_neg=n_neg, theta0=theta0)
        found.append(false_alarms(f"bets on pairs at a margin of {theta0}, 4,000 pairs", alarms(wealth >= LOG_20), runs=runs))
        n = n_pos + n_zero + n_neg
        z = ((n_pos - n_neg) / n - theta0) / np.sqrt(np.maximum(n_pos + n_neg, 1) / n**2)
        found.append(control("a one-sided z-test on the same pairs", alarms(z > 1.645), runs=runs, share=0.08))
    return found


def log_e_of_arms(counts: Counts, *, ratio: float = 1.0) -> Floats:
    """The evidence of the arms of all events against a rate ratio, over the stages of a ramp."""
    return arm_given_event.log_e(counts.k_b, counts.k_a + counts.k_b, shares=SHARES, ratio=ratio)


def ramps_with_drift(runs: int) -> list[Measured]:
    """A7."""
    rng, totals = np.random.default_rng(7), np.zeros(3, dtype=np.int64)
    for part in batches(runs, 200):
        counts = ramp(rng, runs=part, looks=20, batch=2000)
        weights = difference.overlap(counts.n_a, counts.n_b)
        estimate, se = difference.stratify(counts.gap, np.maximum(*counts.variances), weights=weights)
        ready = counts.expected.sum(axis=-1) >= difference.MIN_EXPECTED_EVENTS
        heap = counts.over_stages()
        totals += (
            alarms(log_e_of_arms(counts) >= LOG_20),
            alarms(ready & outside(estimate, se, truth=0.0, tau=0.002)),
            alarms(outside(heap.gap, np.sqrt(np.maximum(*heap.variances)), truth=0.0, tau=0.002)),
        )
    arms, stratified, pooled = (int(total) for total in totals)
    return [
        false_alarms("ramp 1-5-20-50 % with drift, arm given event", arms, runs=runs),
        false_alarms("the same, stratified difference", stratified, runs=runs),
        control("the same, rows of all stages in one heap", pooled, runs=runs, share=0.9),
    ]


def covered_ratios(runs: int) -> list[Measured]:
    """A8."""
    found = []
    for ratio in (0.5, 1.0, 2.0):
        rng, missed = np.random.default_rng(8), 0
        for part in batches(runs, 200):
            counts = ramp(rng, runs=part, looks=20, batch=1000, ratio=ratio)
            missed += alarms(log_e_of_arms(counts, ratio=ratio) >= LOG_20)
        found.append(false_alarms(f"true rate ratio of {ratio:g} missed, ramp with drift", missed, runs=runs))
    return found


DELAYS = ((1.5, 95_000, 400), (2.0, 32_000, 150), (3.0, 12_000, 60), (5.0, 6_000, 30), (10.0, 3_000, 15))
"""Rate ratio, the most requests its detection may take at the median, and looks of 1,000 requests to simulate."""


def delays(runs: int) -> list[Measured]:
    """A9: 1 % errors, a 5 % canary, a look every 1,000 requests."""
    found = []
    for ratio, limit, looks in DELAYS:
        rng, stops, wrong = np.random.default_rng(9), [], 0
        for part in batches(runs, 50):
            counts = flat(rng, Traffic(p_b=0.01 * ratio, looks=looks), runs=part)
            heads, total = counts.k_b[..., None], (counts.k_a + counts.k_b)[..., None]
            seen = arm_given_event.log_e(heads, total, shares=np.array([0.05])) >= LOG_20
            worse = counts.k_b > 0.05 * (counts.k_a + counts.k_b)
            stop = first_look(seen)
            stops.append(1000 * stop)
            wrong += int((seen & ~worse).any(axis=1).sum())
        middle = float(np.median(np.concatenate(stops)))
        found.append(Measured(setting=f"requests until errors x{ratio:g} are seen, median", found=middle, bound=limit))
        if ratio >= 2:
            found.append(Measured(setting=f"errors x{ratio:g} taken for an improvement", found=wrong, bound=0, runs=runs))
    return found


CASES = (
    Case(id="A3", measure=rare_errors, runs=2000, quick=300),
    Case(id="A5", measure=true_differences, runs=2000, quick=300),
    Case(id="A6", measure=pairs_at_the_margin, runs=1000, quick=200),
    Case(id="A7", measure=ramps_with_drift, runs=1000, quick=100),
    Case(id="A8", measure=covered_ratios, runs=1000, quick=50),
    Case(id="A9", measure=delays, runs=400),
)
