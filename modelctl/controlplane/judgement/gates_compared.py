"""Every gate of a rollout, compared: a row and a criterion for each candidate and design. Pure."""

from dataclasses import replace

import msgspec

from modelctl.controlplane.judgement.comparison import FINDINGS, Compared, Evidence, Row, finite, row_of
from modelctl.controlplane.judgement.figures import amount
from modelctl.controlplane.judgement.levels import Planned, planned
from modelctl.controlplane.judgement.measured import (
    Question,
    degrees,
    mean,
    mean_stages,
    pair_counts,
    proportion_stages,
    rate,
    slow_edge,
)
from modelctl.controlplane.judgement.outlook import outlook
from modelctl.controlplane.judgement.shown import pair_means
from modelctl.controlplane.judgement.unit_methods import FIRST_EVENTS, method_for
from modelctl.gate import GateRole, gate_text
from modelctl.metric import Design, Scale
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.moments import merge_all
from modelctl.statistics.verdict import Criterion, Finding, Role, criterion

WARMING = " (slowness is not judged in the first minute of a stage)"
"""Why nothing is known of it at first."""

_UNITS = {Design.PAIRED: "pairs", Design.SPLIT: "requests", Design.LIMIT: "requests"}
_PASSABLE = frozenset({Finding.NOT_WORSE, Finding.WORSE_WITHIN_MARGIN})
_HOW = {Design.PAIRED: "same requests", Design.SPLIT: "", Design.LIMIT: "alone"}


def compare_gates(evidence: Evidence, *, at: int) -> tuple[Compared, ...]:
    """In the order of candidates and gates, with forecasts as of Unix millisecond `at`."""
    return tuple(compare_gate(evidence, plan, at=at) for plan in planned(evidence.rollout))


def compare_gate(evidence: Evidence, plan: Planned, *, at: int) -> Compared:
    """One gate, asked about one candidate in one design. Info gates give no criterion."""
    asked = Question(evidence=evidence, candidate=plan.candidate, gate=plan.gate, metric=plan.metric, design=plan.design)
    method = method_for(asked)
    for_promote = method(asked, plan.alpha_promote)
    # What cannot roll back has both ends at the level that promotes.
    for_rollback = for_promote if plan.alpha_rollback is None else method(asked, plan.alpha_rollback)
    found = _criterion(asked, for_rollback=for_rollback, for_promote=for_promote)
    row = _row(asked, found, for_rollback=for_rollback, for_promote=for_promote)
    if plan.gate.role is GateRole.INFO:
        return Compared(row)
    waiting = found.finding in (Finding.OPEN, Finding.NO_DATA) or (found.role is Role.SUCCESS and found.finding in _PASSABLE)
    ahead = outlook(asked, row.n, alpha=plan.alpha_promote, at=at) if waiting else ""
    return Compared(msgspec.structs.replace(row, forecast=ahead), found)


def _criterion(asked: Question, *, for_rollback: Comparison, for_promote: Comparison) -> Criterion:
    found = criterion(
        f"{asked.candidate}: {title_of(asked)}",
        Role(asked.gate.role.value),
        margin=asked.margin,
        higher_is_better=asked.higher_is_better,
        for_rollback=for_rollback,
        for_promote=for_promote,
    )
    return replace(found, rollback_at=0.0) if asked.gate.zero_tolerance else found


def title_of(asked: Question) -> str:
    """What is compared, in words: the metric, and how."""
    title = asked.metric.title
    if asked.gate.slower_ms:
        title = f"answers slower than {slow_edge(asked.gate.slower_ms):.4g} ms"
    how = [part for part in (_HOW[asked.design], "relative" if asked.relative else "") if part]
    return f"{title} ({', '.join(how)})" if how else title


def _row(asked: Question, found: Criterion, *, for_rollback: Comparison, for_promote: Comparison) -> Row:
    lower, upper = _shown_ends(asked, for_rollback=for_rollback, for_promote=for_promote)
    unit, counts = _unit(asked)
    warming = WARMING if for_rollback.reason and not for_rollback.n and asked.gate.slower_ms else ""
    row = row_of(
        replace(for_rollback, lower=lower, upper=upper, reason=f"{for_rollback.reason}{warming}"),
        names=(asked.candidate, asked.metric.name, title_of(asked), unit, counts),
        values=_values(asked),
    )
    changes = {
        "role": asked.gate.role.value,
        "null": asked.gate.limit if asked.design is Design.LIMIT else row.null,
        "finding": row.finding if asked.gate.role is GateRole.INFO else FINDINGS[found.finding],
        "gate": gate_text(asked.gate),
        "design": asked.design.value,
        "alpha_promote": for_promote.alpha,
        "margin_unit": margin_unit(asked),
        "margin": found.margin if asked.gate.margin is not None or asked.gate.limit is not None else None,
        "needs": needs(asked),
        "harm_lower": finite(found.lower),
        "harm_upper": finite(found.upper),
    }
    return msgspec.structs.replace(row, **changes)


def _shown_ends(asked: Question, *, for_rollback: Comparison, for_promote: Comparison) -> tuple[float, float]:
    """The interval that decides: its harmful end from the level that rolls back, its safe end from the one that promotes."""
    if asked.gate.role is GateRole.EQUIVALENCE:
        return for_promote.lower, for_promote.upper
    harmful, safe = for_rollback, for_promote
    return (safe.lower, harmful.upper) if asked.higher_is_better else (harmful.lower, safe.upper)


def _unit(asked: Question) -> tuple[str, str]:
    """The unit of an effect, and what is counted."""
    if _is_ratio(asked):
        return "ratio", "first events" if asked.sticky else "events"
    unit = "share" if asked.metric.scale is Scale.SHARE or asked.relative else "value"
    counted = "pairs" if asked.metric.is_of_pairs else _UNITS[asked.design]
    if asked.sticky and counted == "requests":
        counted = "units"
    return unit, counted


def needs(asked: Question) -> str:
    """What the interval of the effect must do for the gate to pass."""
    margin, unit = asked.margin, margin_unit(asked)
    if asked.gate.role is GateRole.INFO:
        return ""
    if asked.gate.role is GateRole.EQUIVALENCE:
        ratios = f"between {1 - margin:.4g} and {1 + margin:.4g}"
        return ratios if _is_ratio(asked) else f"between -{amount(margin, unit)} and {amount(margin, unit)}"
    side = "above" if asked.higher_is_better else "below"
    if asked.gate.role is GateRole.SUCCESS:
        return f"{side} {1 if _is_ratio(asked) else 0}"
    if asked.design is Design.LIMIT:
        return f"{side} {amount(asked.gate.limit, unit)}"
    if _is_ratio(asked):
        return f"{side} {1 - margin if asked.higher_is_better else 1 + margin:.4g}"
    return f"{side} {'-' if asked.higher_is_better else ''}{amount(margin, unit)}"


def _is_ratio(asked: Question) -> bool:
    by_units = asked.sticky and asked.metric.name not in FIRST_EVENTS
    return asked.relative and asked.design is Design.SPLIT and asked.metric.scale is Scale.SHARE and not by_units


def margin_unit(asked: Question) -> str:
    """What the margin and the harm are counted in."""
    if asked.design is Design.LIMIT:
        return "rate"
    if asked.relative:
        return "relative"
    return "points" if asked.metric.scale is Scale.SHARE else "value"


def _values(asked: Question) -> tuple[float | None, float | None]:
    """The value of either arm, for display."""
    return _VALUES[asked.metric.scale, asked.design](asked)


def _share_pairs(asked: Question) -> tuple[float | None, float | None]:
    worse, same, better = pair_counts(asked)
    n = worse + same + better
    return (better / n, worse / n) if n else (None, None)


def _share_split(asked: Question) -> tuple[float | None, float | None]:
    stages = proportion_stages(asked)
    return rate([stage.baseline for stage in stages]), rate([stage.candidate for stage in stages])


def _share_alone(asked: Question) -> tuple[float | None, float | None]:
    names = (asked.evidence.rollout.baseline, asked.candidate)
    a, b = (k / n if n else None for k, n in (degrees(asked, name) for name in names))
    return None if asked.metric.is_of_pairs else a, b


def _mean_pairs(asked: Question) -> tuple[float | None, float | None]:
    if asked.metric.name == "prediction":
        return pair_means(asked.evidence, asked.candidate)
    baseline = mean(asked, asked.evidence.rollout.baseline)
    return baseline.mean if baseline.n else None, None


def _mean_split(asked: Question) -> tuple[float | None, float | None]:
    stages = mean_stages(asked)
    a, b = merge_all(stage.baseline for stage in stages), merge_all(stage.candidate for stage in stages)
    return a.mean if a.n else None, b.mean if b.n else None


_VALUES = {
    (Scale.SHARE, Design.PAIRED): _share_pairs,
    (Scale.SHARE, Design.SPLIT): _share_split,
    (Scale.SHARE, Design.LIMIT): _share_alone,
    (Scale.MEAN, Design.PAIRED): _mean_pairs,
    (Scale.MEAN, Design.SPLIT): _mean_split,
}
