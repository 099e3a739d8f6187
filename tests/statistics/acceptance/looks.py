"""A11: looks of a group-sequential plan."""

import math

import numpy as np

from modelctl.statistics.arrays import Floats
from modelctl.statistics.forecast import GROUP_SEQUENTIAL
from modelctl.statistics.group_sequential import Spending, boundaries
from tests.statistics.acceptance.promise import Case, Measured, alarms, control, cumulative, false_alarms

LOOKS = 14
PLANNED = tuple(look / LOOKS for look in range(1, LOOKS + 1))
DETECTED = 1.959964 + 0.841621
"""The z at n_fixed of an effect that a fixed test finds in 80 % of runs."""


def scores(rng: np.random.Generator, *, runs: int, looks: int = LOOKS, drift: float = 0.0) -> Floats:
    """z at each of `looks` equal steps of information, 14 of which are the plan; `drift` is z's mean at the plan's end."""
    steps = rng.normal(drift / LOOKS, math.sqrt(1 / LOOKS), size=(runs, looks))
    z: Floats = cumulative(steps) / np.sqrt(np.arange(1, looks + 1) / LOOKS)
    return z


def planned_looks(runs: int) -> list[Measured]:
    """A11. The power is that of an effect found at the recommended maximum, 1.16 n_fixed."""
    rng, z = np.random.default_rng(11), np.array(boundaries(PLANNED, Spending(alpha=0.05)))
    equal = alarms(np.abs(scores(rng, runs=runs)) > z)
    found = alarms(np.abs(scores(rng, runs=runs, drift=math.sqrt(GROUP_SEQUENTIAL) * DETECTED)) > z)
    longer = np.concatenate((z, np.full(4 * LOOKS, z[-1])))
    extended = alarms(np.abs(scores(rng, runs=runs, looks=5 * LOOKS)) > longer)
    return [
        false_alarms("group-sequential, 14 looks, equal arms", equal, runs=runs),
        Measured(
            setting="the same, an effect at 1.16 n_fixed is found", found=found / runs, bound=0.78, at_least=True, nominal="0.8"
        ),
        control("the same, extended to five times its plan", extended, runs=runs, share=0.08),
    ]


CASES = (Case(id="A11", measure=planned_looks, runs=3000, quick=1000),)
