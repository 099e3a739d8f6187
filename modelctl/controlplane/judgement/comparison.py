"""What the comparisons of a rollout are made of, and what each comes to: values that the other modules fill. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from modelctl.controlplane.judgement.companion import Companion
from modelctl.controlplane.judgement.sums import Sums
from modelctl.rollout import Rollout, Stage
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.verdict import Criterion, Finding
from modelctl.traffic import Arm


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the decision table.

    `baseline`, `candidate`, and `estimate` with `lower` and `upper` are in `unit`: share (1 is all), ratio, or value. A bound
    that is None is infinite. `estimate` is candidate minus baseline, for a ratio candidate over baseline; `null` is no difference,
    or the limit. `finding` says what is proven, or is open, no-data, or shown for what decides nothing; `reason` says why there is
    no interval. The harmful end of the interval holds at `alpha`, which may roll back, the safe end at `alpha_promote`.

    `gate` is the criterion as it was declared, empty for what guards or is shown without one. Harm is how much worse the candidate
    is, in the unit of `margin`: from `harm_lower` to `harm_upper`, None is infinite. `margin_unit` is points (of a share), relative
    (to the baseline's value), rate (against a limit) or value. `needs` says what the interval must do to pass, `forecast` how long
    that may take. In a report, `source` is where `method` is explained, and `companion` what a method for one look says.
    """

    candidate_name: str
    metric: str
    title: str
    role: str
    unit: str
    baseline: float | None
    candidate: float | None
    estimate: float | None
    lower: float | None
    upper: float | None
    null: float | None
    n: int
    counts: str
    method: str
    alpha: float
    log10_e: float | None
    state: str
    finding: str
    reason: str = ""
    gate: str = ""
    design: str = ""
    alpha_promote: float | None = None
    margin: float | None = None
    margin_unit: str = ""
    harm_lower: float | None = None
    harm_upper: float | None = None
    needs: str = ""
    forecast: str = ""
    source: str = ""
    companion: Companion | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that a rollout's comparisons are made of. `newest` is the last minute (Unix time / 60 s) there is evidence of.

    `looks` are the shares of max_n at which planned looks were taken before: for the engine gst alone.
    """

    rollout: Rollout
    stages: tuple[Stage, ...]
    sums: Sums
    pivots: dict[str, float]
    newest: int | None = None
    looks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """A row, and what it means for the verdict; None when it decides nothing. `fire` criteria can only roll back."""

    row: Row
    criterion: Criterion | None = None
    fire: bool = False


FINDINGS: Mapping[Finding, str] = MappingProxyType(
    {
        Finding.NO_DATA: "no-data",
        Finding.WORSE: "worse",
        Finding.BETTER: "better",
        Finding.NOT_WORSE: "not-worse",
        Finding.WORSE_WITHIN_MARGIN: "worse-within-margin",
        Finding.EQUIVALENT: "equivalent",
        Finding.DIFFERENT: "different",
        Finding.OPEN: "open",
    }
)
"""A finding as programs read it."""


def shared_stages(evidence: Evidence, candidate: str) -> list[tuple[Stage, Arm, Arm]]:
    """The stages in which both arms answered a share, with the baseline's arm and the candidate's."""
    found = []
    for stage in evidence.stages:
        arms = {arm.backend: arm for arm in stage.arms if arm.answers}
        if evidence.rollout.baseline in arms and candidate in arms:
            found.append((stage, arms[evidence.rollout.baseline], arms[candidate]))
    return found


def seen_by(evidence: Evidence, candidate: str) -> int:
    """What the candidate answered (requests, or units when these are sticky), and its pairs."""
    answered = "requests" if evidence.rollout.unit == "request" else "first_unit"
    return evidence.sums.n(candidate, answered) + evidence.sums.n(candidate, "pair_error")


def row_of(result: Comparison, *, names: tuple[str, str, str, str, str], values: tuple[float | None, float | None]) -> Row:
    """A row that is only shown. `names` are the candidate, metric, title, unit and what n counts; `values` those of both arms."""
    candidate, metric, title, unit, counts = names
    return Row(
        candidate_name=candidate,
        metric=metric,
        title=title,
        role="info",
        unit=unit,
        baseline=values[0],
        candidate=values[1],
        estimate=finite(result.estimate),
        lower=finite(result.lower),
        upper=finite(result.upper),
        null=result.null,
        n=result.n,
        counts=counts,
        method=result.method,
        alpha=result.alpha,
        log10_e=result.log_e / math.log(10),
        state=result.state.value,
        finding="shown" if result.state is State.OK else "no-data",
        reason=result.reason,
    )


def finite(number: float | None) -> float | None:
    """The number, or None in place of an infinite one: JSON has no such numbers."""
    return number if number is not None and math.isfinite(number) else None
