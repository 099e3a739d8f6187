"""Each declared gate in one line, as a status shows it. Pure."""

from collections.abc import Iterable

import msgspec

from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.exposure import enough_for, harm_of
from modelctl.controlplane.judgement.sentences import BOUNDED
from modelctl.controlplane.report.over_time import harm_estimate


class GateLine(msgspec.Struct, frozen=True, kw_only=True):
    """One gate of one candidate: harm from `lower` to `upper` (None: infinite), about `estimate`, against its margin, in `unit`.

    `unit` is points (of a share), relative (to the baseline's value), rate (against a limit) or value. `state` is what is proven;
    `reason` says why there is no interval, `forecast` what would change the state. `enough_for` is the largest share in basis
    points that the candidate may have by this gate; None for a gate that bars no share.
    """

    gate: str
    candidate: str
    title: str
    role: str
    design: str
    state: str
    lower: float | None
    upper: float | None
    margin: float | None
    unit: str
    n: int
    counts: str
    enough_for: int | None
    reason: str
    forecast: str
    estimate: float | None = None


def gate_lines(rows: Iterable[Row]) -> tuple[GateLine, ...]:
    """The rows that a gate was declared for."""
    return tuple(
        GateLine(
            gate=row.gate,
            candidate=row.candidate_name,
            title=row.title,
            role=row.role,
            design=row.design,
            state=row.finding,
            lower=row.harm_lower,
            estimate=harm_estimate(row),
            upper=row.harm_upper,
            margin=row.margin,
            unit=row.margin_unit,
            n=row.n,
            counts=row.counts,
            enough_for=enough_for(harm_of(row)) if row.role in BOUNDED else None,
            reason=row.reason,
            forecast=row.forecast,
        )
        for row in rows
        if row.gate
    )
