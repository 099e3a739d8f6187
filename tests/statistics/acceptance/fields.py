"""A21: fields of answers that differ from the baseline's, beside how often the baseline differs from itself."""

import math
from collections.abc import Mapping

import numpy as np

from modelctl.statistics import coin
from modelctl.statistics.multiplicity import e_bh
from modelctl.statistics.noise import FALSE_DISCOVERIES, FieldCounts
from tests.statistics.acceptance.promise import Case, Measured, control

NOISE = np.where(np.arange(50) % 2 == 0, 0.001, 0.05)
"""Half of 50 fields differ from themselves in 0.1 % of requests, half in 5 %."""

REAL = np.arange(0, 20, 2)
"""Ten rare ones, whose candidate may truly differ more often."""

REQUESTS = 20_000


def noisy_fields(rng: np.random.Generator, *, excess: float = 1.0) -> dict[int, FieldCounts]:
    """One comparison, in which the candidate differs `excess` times as often as noise does in the REAL fields."""
    raw = NOISE.copy()
    raw[REAL] *= excess
    odds = np.stack([raw * NOISE, raw * (1 - NOISE), NOISE * (1 - raw), (1 - raw) * (1 - NOISE)]).T
    return {
        field: FieldCounts(total=REQUESTS, raw=int(both + only), noise=int(both + other), both=int(both))
        for field, (both, only, other, _) in enumerate(rng.multinomial(REQUESTS, odds))
    }


def flagged(fields: Mapping[int, FieldCounts]) -> set[int]:
    """What `noise.noise_floor` flags, without its intervals: coins for the excess of the candidate, then e-BH."""
    excess, discordant = np.array([(one.excess, one.discordant) for one in fields.values()], dtype=float).T
    upward = np.where(2 * excess > discordant, coin.log_e(excess, discordant, p0=0.5), -math.inf)
    names = list(fields)
    return {names[index] for index in e_bh(upward.tolist(), alpha=FALSE_DISCOVERIES)}


def noise_floors(runs: int) -> list[Measured]:
    """A21."""
    rng, real = np.random.default_rng(21), set(REAL.tolist())
    equal = [noisy_fields(rng) for _ in range(runs)]
    wrong = [bool(flagged(fields)) for fields in equal]
    by_diffy = sum(any(one.flagged_by_diffy for one in fields.values()) for fields in equal)
    found = [flagged(noisy_fields(rng, excess=3.0)) for _ in range(runs)]
    false = [len(one - real) / max(len(one), 1) for one in found]
    power = [len(one & real) / len(real) for one in found]
    return [
        Measured(setting="share of false fields, 50 with equal noise", found=float(np.mean(wrong)), bound=0.1, nominal="0.1"),
        Measured(
            setting="share of false fields, 10 real ones with x3 noise", found=float(np.mean(false)), bound=0.1, nominal="0.1"
        ),
        Measured(setting="share of those 10 that is found", found=float(np.mean(power)), bound=0.8, at_least=True),
        control("any field of equal noise flagged, Diffy's thresholds", by_diffy, runs=runs, share=0.3),
    ]


CASES = (Case(id="A21", measure=noise_floors, runs=400, quick=40),)
