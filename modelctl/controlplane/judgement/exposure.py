"""The gate of a step: may the candidate get a larger share, with harm that may still be possible? Pure.

At the share f the harm to all users of the route is at most f times the harm that is not excluded. A step needs f * upper < margin
for every guardrail, and |harm| * f < margin for every equivalence. At f = 1 that is the guardrails' half of a promotion. The same
confidence sequences decide at every step, so no step spends error of its own.
"""

import math

import msgspec

from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.figures import amount
from modelctl.metric import OF_PAIRS, Design
from modelctl.traffic import ALL


class Harm(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse a candidate may still be on one gate: from `lower` to `upper`, in `unit` like the margin; None is infinite.

    `reason` says why nothing is known yet; empty when the interval may be used. A `later` one is a limit on what the candidate
    answers to clients, where it answers none so far: what comes first is judged without it, and promotion is not.
    """

    gate: str
    title: str
    candidate: str
    role: str
    lower: float | None
    upper: float | None
    margin: float
    unit: str
    reason: str = ""
    later: bool = False

    @property
    def largest(self) -> float | None:
        """The most harm that is not excluded."""
        return largest_harm(self.lower, self.upper, role=self.role)


def largest_harm(lower: float | None, upper: float | None, *, role: str) -> float | None:
    """The most harm that an interval of harm does not exclude: its upper end, for an equivalence the end that is further from 0.

    None is infinite.
    """
    if role != "equivalence" or upper is None:
        return upper
    return None if lower is None else max(upper, -lower)


def harm_of(row: Row, *, silent: frozenset[str] = frozenset()) -> Harm:
    """The harm of a guardrail's or an equivalence's row; `silent` candidates answer no client in the current step."""
    blank = row.finding == "no-data"
    return Harm(
        gate=row.gate,
        title=row.title,
        candidate=row.candidate_name,
        role=row.role,
        lower=row.harm_lower,
        upper=row.harm_upper,
        margin=row.margin or 0.0,
        unit=row.margin_unit,
        reason=row.reason if blank else "",
        later=blank and row.design == Design.LIMIT and row.metric not in OF_PAIRS and row.candidate_name in silent,
    )


def enough_for(harm: Harm) -> int:
    """The largest share, in basis points, that the gate lets the candidate have; 0 without data."""
    largest = harm.largest
    if harm.reason or largest is None:
        return 0
    if largest < harm.margin:
        return ALL
    return max(0, math.ceil(ALL * harm.margin / largest) - 1)


def missing_at(harm: Harm, share_bp: int) -> str:
    """What is not proven for that share, as a sentence; empty when the gate lets it pass."""
    share = share_bp / ALL
    name = f"{harm.candidate}, {harm.title}"
    if harm.reason:
        return f"{name}: {harm.reason}; no data never passes."
    largest = harm.largest
    if largest is None:
        return f"{name}: no harm is excluded yet."
    if share * largest < harm.margin:
        return ""
    margin, most = amount(harm.margin, harm.unit), amount(largest, harm.unit)
    if share == 1:
        return f"{name}: harm above {most} excluded; margin {margin} not reached."
    reduced = amount(share * largest, harm.unit)
    return f"{name}: harm above {most} excluded, which is {reduced} at a share of {share * 100:.4g}%; margin {margin} not reached."
