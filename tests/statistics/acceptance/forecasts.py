"""A22: the sample after which four of five simulated rollouts have decided, beside the forecast."""

import math

import numpy as np

from modelctl.statistics import arm_given_event, difference, grid_betting, normal_mixture
from modelctl.statistics.arrays import Floats
from modelctl.statistics.designs import Design, PairedOutcomes, Proportions, Rates
from modelctl.statistics.forecast import WATCHED, forecast
from modelctl.statistics.sample_size import USUAL, bernoulli, two_arms
from tests.statistics.acceptance.promise import LOG_20, Bools, Case, Measured, cumulative, first_look

LOOKS = 250
SHARES = (0.05, 0.1, 0.5)
EFFECTS = [Proportions(baseline=0.01, candidate=p_b, share=share) for p_b in (0.015, 0.006) for share in SHARES]
GUARDRAILS = [Proportions(baseline=0.01, candidate=0.01, share=0.1, margin=margin) for margin in (0.005, 0.003)]
PAIRED = [PairedOutcomes(discordance=0.02, margin=0.01), PairedOutcomes(discordance=0.1, harm=-0.01)]
RATES = [Rates(ratio=ratio, share=share) for ratio in (0.8, 1.5) for share in (0.05, 0.5)]


def stops_of_proportions(design: Proportions, *, runs: int, looks: int = LOOKS) -> Floats:
    """The requests after which each run's interval has excluded 0, or the margin of a guardrail; inf for never."""
    rng, plan = np.random.default_rng(22), forecast(design)
    batch = round(3 * plan.n_fixed / looks)
    drawn = rng.binomial(batch, design.share, size=(runs, looks))
    k_a, k_b = cumulative(rng.binomial(batch - drawn, design.baseline)), cumulative(rng.binomial(drawn, design.candidate))
    n_a, n_b = cumulative(batch - drawn), cumulative(drawn)
    ready = difference.expected_events(n_a, n_b, k_a=k_a, k_b=k_b) >= difference.MIN_EXPECTED_EVENTS
    n_a, n_b = np.maximum(n_a, 1), np.maximum(n_b, 1)
    se = np.sqrt(np.maximum(*difference.proportion_variances(n_a, n_b, k_a=k_a, k_b=k_b)))
    half = normal_mixture.half_width(np.maximum(se, 1e-12), tau=plan.distance, alpha=0.05)
    gap = k_b / n_b - k_a / n_a
    return batch * first_look(ready & ((gap + half < design.margin) if design.margin else np.abs(gap) > half))


def stops_of_pairs(design: PairedOutcomes, *, runs: int) -> Floats:
    """The pairs after which the exact bets have excluded a mean at the margin."""
    looks, gain = 150, -design.harm
    rng, batch = np.random.default_rng(22), round(4 * forecast(design).n_fixed / looks)
    odds = [(design.discordance + gain) / 2, 1 - design.discordance, (design.discordance - gain) / 2]
    counts = rng.multinomial(batch, odds, size=(runs, looks))
    n_pos, n_zero, n_neg = (cumulative(counts[..., column]) for column in range(3))
    proven: Bools = grid_betting.log_e_up(n_pos, n_zero, n_neg=n_neg, theta0=-design.margin) >= math.log(40)
    return batch * first_look(proven)


def stops_of_rates(design: Rates, *, runs: int) -> Floats:
    """The events after which their arms show that the rates differ."""
    looks = 80
    rng, batch = np.random.default_rng(22), round(4 * forecast(design).n_fixed / looks)
    part = design.share * design.ratio / (design.share * design.ratio + 1 - design.share)
    k = cumulative(rng.binomial(batch, part, size=(runs, looks)))
    n = np.broadcast_to(np.arange(1.0, looks + 1) * batch, k.shape)
    proven: Bools = arm_given_event.log_e(k[..., None], n[..., None], shares=np.array([design.share])) >= LOG_20
    return batch * first_look(proven)


def n80_of(stops: Floats) -> float:
    """After how many units four of five runs had decided."""
    return float(np.quantile(stops, 0.8, method="higher"))


def distance(setting: str, stops: Floats, *, design: Design) -> Measured:
    """How far, as a share, the simulated n80 is from the forecast's."""
    error = abs(n80_of(stops) / forecast(design).n80 - 1)
    return Measured(setting=f"error of the forecast n80, {setting}", found=error, bound=0.2, nominal="0")


def times_to_decide(runs: int) -> list[Measured]:
    """A22. The control plans a rare event that improves on a small share with the unpooled variance alone."""
    found = []
    for one in (*EFFECTS, *GUARDRAILS):
        what = f"errors {one.baseline:.1%} to {one.candidate:.1%}" + (f", margin {one.margin:.1%}" if one.margin else "")
        found.append(distance(f"{what}, at {one.share:.0%}", stops_of_proportions(one, runs=runs), design=one))
    for pairs in PAIRED:
        found.append(distance(f"pairs of which {pairs.discordance:.0%} differ", stops_of_pairs(pairs, runs=runs), design=pairs))
    for rates in RATES:
        found.append(distance(f"rates x{rates.ratio:g} at {rates.share:.0%}", stops_of_rates(rates, runs=runs), design=rates))
    rare = EFFECTS[4]
    unpooled = two_arms(bernoulli(rare.baseline), bernoulli(rare.candidate), share=rare.share)
    late = n80_of(stops_of_proportions(rare, runs=runs)) / (WATCHED * USUAL.z**2 * unpooled / rare.distance**2)
    setting = "n80 over its forecast from the unpooled variance, errors 1.0% to 0.6%, at 10%"
    return [*found, Measured(setting=setting, found=late, bound=1.2, at_least=True, control=True)]


CASES = (Case(id="A22", measure=times_to_decide, runs=500),)
