"""Simulations of designs through the functions that decide; error levels and delays stand in the acceptance list."""

import math

import numpy as np
import pytest

from modelctl.errors import IllegalMove
from modelctl.statistics import group_sequential
from modelctl.statistics.designs import Proportions
from modelctl.statistics.estimate import Estimate
from modelctl.statistics.forecast import forecast
from modelctl.statistics.group_sequential import Spending, boundaries
from modelctl.statistics.noise import noise_floor
from tests.statistics.acceptance.fields import flagged, noisy_fields
from tests.statistics.acceptance.forecasts import stops_of_proportions
from tests.statistics.acceptance.looks import LOOKS, PLANNED, scores


def test_decisions_through_plans_and_looks_are_those_of_the_boundaries() -> None:
    z, spending = np.array(boundaries(PLANNED, Spending(alpha=0.05))), Spending(alpha=0.05)
    for run in scores(np.random.default_rng(4), runs=30):
        plan, decided = group_sequential.declared(100 * LOOKS, variance=1.0), []
        for look, score in enumerate(run, start=1):
            se = 0.1 / math.sqrt(look)
            estimate = Estimate(value=float(score) * se, se=se, n=100 * look)
            plan = group_sequential.look(plan, estimate)
            found = group_sequential.compare(estimate, plan, spending=spending)
            decided.append(found.lower > 0 or found.upper < 0)
        assert decided == (np.abs(run) > z).tolist()
        with pytest.raises(IllegalMove, match="never extended"):
            group_sequential.look(plan, Estimate(value=0.0, se=0.02, n=100 * LOOKS + 1))


def test_the_noise_floor_flags_what_coins_and_e_bh_flag() -> None:
    rng = np.random.default_rng(16)
    for excess in (1.0, 3.0):
        fields = noisy_fields(rng, excess=excess)
        named = noise_floor({str(field): counts for field, counts in fields.items()})
        assert {int(name) for name, found in named.items() if found.flagged} == flagged(fields)


@pytest.mark.slow
def test_the_chance_of_a_decision_is_the_share_of_runs_that_decided() -> None:
    design = Proportions(baseline=0.1, candidate=0.12, share=0.5)
    plan, stops = forecast(design), stops_of_proportions(design, runs=1000, looks=1000)
    for part in (0.5, 1.0, 1.5):
        assert float((stops <= part * plan.n_fixed).mean()) == pytest.approx(plan.probability(part * plan.n_fixed), abs=0.06)
