"""How each interval came about: what the comparisons would have said at every look since the rollout began. Pure.

A confidence sequence is valid at every look at once, so its path may be read as it stands. Late labels and rewards count at the
minute of the request they belong to: of them the path says how the requests came, not when they were known.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec

from modelctl.conduct import Engine
from modelctl.controlplane.judgement.comparing import compare
from modelctl.controlplane.judgement.comparison import Evidence, Row
from modelctl.controlplane.judgement.figures import amount, figure
from modelctl.controlplane.judgement.sums import Sums
from modelctl.rollout import Rollout, Stage
from modelctl.store.slots import Slot
from modelctl.store.summing import Sum

SERIES = 12
_LEAST, _MOST, _COMPARISONS = 12, 48, 200
_MINUTE = 60_000
_PROVEN = frozenset({"worse", "not-worse", "better", "equivalent", "different", "worse-within-margin"})
_PLANNED = "This rollout is judged at planned looks alone: between them its intervals are drawn, and claim nothing."

_Key = tuple[str, str, str, str]
_SumKey = tuple[int, str, str, str]


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was known at Unix millisecond `at`. An end that is None is infinite."""

    at: int
    n: int
    lower: float | None
    estimate: float | None
    upper: float | None
    finding: str


class OverTime(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the decision table over time: of a gate the harm against its `margin`, else the effect against `null`, in `unit`.

    `proven_at` is the first look (Unix milliseconds) whose finding was `proven`; 0 while nothing is. The last look is the row.
    """

    candidate: str
    title: str
    gate: str
    design: str
    unit: str
    margin: float | None
    null: float | None
    looks: tuple[Look, ...]
    proven_at: int
    proven: str
    sentence: str
    note: str = ""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """When a stage began (Unix milliseconds), and its shares in words."""

    at: int
    title: str


def looks_at(rollout: Rollout) -> int:
    """How many looks its path is drawn with: fewer where each asks more, so that a report takes about as long."""
    asked = max(4, len(rollout.candidates) * (len(rollout.gates) + 2))
    return min(_MOST, max(_LEAST, _COMPARISONS // asked))


def over_time(evidence: Evidence, slots: Sequence[Slot]) -> tuple[OverTime, ...]:
    """The rows that decide first, at the end of every slot. Rows without any data have no path."""
    found: dict[_Key, list[tuple[int, Row]]] = {}
    for at, rows in _looks(evidence, slots):
        for row in rows:
            found.setdefault(_key(row), []).append((at, row))
    told = [_told(evidence, path) for path in found.values() if path[-1][1].n]
    return tuple(one for one in told if one.looks)[:SERIES]


def without_path(metrics: Iterable[str]) -> str:
    """Why there is none of them; empty when there is one of each."""
    missing = ", ".join(sorted(metrics))
    return f"Without a path over time, because this rollout has too many minutes of it: {missing}." if missing else ""


def opened(stages: Iterable[Stage]) -> tuple[Opened, ...]:
    """The marks of the stages, in the order they opened."""
    return tuple(Opened(at=stage.opened_at, title=_shares(stage)) for stage in stages)


def _looks(evidence: Evidence, slots: Sequence[Slot]) -> Iterator[tuple[int, list[Row]]]:
    known: dict[_SumKey, Sum] = {}
    for slot in slots:
        for one in slot.sums:
            key = (one.stage, one.arm, one.metric, one.key)
            known[key] = _added(known[key], one) if key in known else one
        at = slot.end * _MINUTE
        seen = {key[0] for key in known}
        stages = tuple(stage for stage in evidence.stages if stage.opened_at < at or stage.id in seen)
        then = replace(evidence, stages=stages or evidence.stages[:1], sums=Sums(known.values()), newest=slot.end - 1)
        yield at, [one.row for one in compare(then, at=at) if not one.fire]


def _added(a: Sum, b: Sum) -> Sum:
    return Sum(a.stage, a.arm, a.metric, a.key, a.n + b.n, a.k + b.k, a.s1 + b.s1, a.s2 + b.s2, a.sp + b.sp)


def _key(row: Row) -> _Key:
    return row.candidate_name, row.gate, row.metric, row.design


def _told(evidence: Evidence, path: Sequence[tuple[int, Row]]) -> OverTime:
    last = path[-1][1]
    looks = tuple(_look(at, row) for at, row in path if row.n)
    first = next((look for look in looks if look.finding in _PROVEN), None)
    return OverTime(
        candidate=last.candidate_name,
        title=last.title,
        gate=last.gate,
        design=last.design,
        unit=last.margin_unit if last.gate else last.unit,
        margin=last.margin if last.gate else None,
        null=0.0 if last.gate and last.margin_unit != "rate" else None if last.gate else last.null,
        looks=looks,
        proven_at=first.at if first else 0,
        proven=first.finding if first else "",
        sentence=_sentence(last, looks, first=first),
        note=_PLANNED if evidence.rollout.conduct.engine is not Engine.ANYTIME else "",
    )


def _look(at: int, row: Row) -> Look:
    lower, upper = (row.harm_lower, row.harm_upper) if row.gate else (row.lower, row.upper)
    return Look(
        at=at, n=row.n, lower=lower, estimate=harm_estimate(row) if row.gate else row.estimate, upper=upper, finding=row.finding
    )


def harm_estimate(row: Row) -> float | None:
    """The estimate of a gate's row as harm; None where the margin's unit is not that of the estimate."""
    if row.estimate is None or row.lower is None or row.upper is None:
        return None
    if row.harm_lower == row.lower and row.harm_upper == row.upper:
        return row.estimate
    return -row.estimate if row.harm_lower == -row.upper and row.harm_upper == -row.lower else None


def _sentence(row: Row, looks: Sequence[Look], *, first: Look | None) -> str:
    name = f"{row.candidate_name}, {row.title}"
    if not looks:
        return f"{name}: nothing is known yet."
    last = looks[-1]
    low, high = (amount(end, row.margin_unit) if row.gate else figure(end, row.unit) for end in (last.lower, last.upper))
    between = f"{'harm ' if row.gate else ''}{low} to {high}"
    proven = (
        f"{first.finding} was proven first at look {looks.index(first) + 1} of {len(looks)}"
        if first
        else "nothing is proven so far"
    )
    return f"{name}: the interval is {between} now, from {last.n:,} {row.counts}; {proven}. It may be read at any look."


def _shares(stage: Stage) -> str:
    answers = [f"{arm.answers / 100:g}% to {arm.backend}" for arm in stage.arms if arm.answers and arm.role.value == "candidate"]
    shown = [f"{arm.shown / 100:g}% shown to {arm.backend}" for arm in stage.arms if arm.shown and arm.role.value == "candidate"]
    return ", ".join([*answers, *shown]) or "all to the baseline"
