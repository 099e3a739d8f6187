"""The verdict's table, written down a second time over bare intervals, and the states that tell its rows apart."""

import math

from modelctl.statistics.verdict import Criterion, Mode, Role, Sample, Word

Harm = tuple[float, float] | None
"""An interval; None without data."""

MARGIN = 0.01
STATES: dict[str, Harm] = {
    "worse": (0.011, 0.03),
    "touching the margin from above": (0.01, 0.03),
    "open": (-0.002, 0.02),
    "worse within margin": (0.001, 0.009),
    "touching the margin from below": (-0.002, 0.01),
    "not worse": (-0.002, 0.009),
    "touching zero": (-0.02, 0.0),
    "better": (-0.02, -0.001),
    "much better": (-0.03, -0.011),
    "no data": None,
}


def about(role: Role, harm: Harm, *, margin: float = MARGIN, name: str = "metric") -> Criterion:
    if harm is None:
        return Criterion(name=name, role=role, margin=margin, has_data=False)
    return Criterion(name=name, role=role, margin=margin, lower=harm[0], upper=harm[1])


def word_by_the_book(harms: dict[Role, Harm], sample: Sample, *, mode: Mode) -> Word:
    """The table of the design, written down a second time over bare intervals; a role that is not in `harms` is not declared."""
    everything = (-math.inf, math.inf)
    guard, success, equal = (
        None if role not in harms else harms[role] or everything for role in (Role.GUARDRAIL, Role.SUCCESS, Role.EQUIVALENCE)
    )
    if any(harm is not None and harm[0] > MARGIN for harm in (guard, success)):
        return Word.ROLLBACK
    if sample.log_e_srm >= math.log(1000) or sample.faults:
        return Word.INVALID
    guarded = guard is None or guard[1] < MARGIN
    inside = equal is None or (equal[0] > -MARGIN and equal[1] < MARGIN)
    improved = success[1] < 0 if success is not None else mode is Mode.NON_INFERIORITY
    if sample.warm and sample.n >= sample.min_n and guarded and inside and improved and harms.keys() - {Role.INFO}:
        return Word.PROMOTE
    over = sample.expired or (sample.max_n is not None and sample.n >= sample.max_n)
    return Word.INCONCLUSIVE if over else Word.CONTINUE
