"""Which comparisons a rollout's gates ask for, and at which error levels. Fixed by gates and ladder, so before the data. Pure.

Rolling back is an OR: alpha_rollback is split by weight over everything that may roll back. Promoting is an AND: guardrails share
alpha_promote undivided; of success metrics one is enough, so they divide it. K candidates get a K-th of both.
"""

from dataclasses import dataclass

from modelctl.controlplane.judgement.ladder import shows, splits
from modelctl.gate import Gate, GateRole, MarginKind, metric_of
from modelctl.metric import Design, Metric
from modelctl.rollout import Rollout
from modelctl.statistics.tuning import split_alpha

GUARDED = frozenset({GateRole.GUARDRAIL, GateRole.SUCCESS})
"""Roles that may roll back."""

FIRE = "fire"
_FIRE_WEIGHT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One comparison. `alpha_rollback` is None for what cannot roll back."""

    candidate: str
    gate: Gate
    metric: Metric
    design: Design
    alpha_promote: float
    alpha_rollback: float | None


def planned(rollout: Rollout) -> tuple[Planned, ...]:
    """Every comparison of every candidate, in the order of the gates."""
    return tuple(one for candidate in rollout.candidates for one in _planned(rollout, candidate))


def fire_alpha(rollout: Rollout, candidate: str) -> float | None:
    """The level of the test for fires; None where no traffic is split, or where a gate is that test already."""
    return _rollback_levels(rollout, candidate).get(FIRE)


def _planned(rollout: Rollout, candidate: str) -> list[Planned]:
    count = len(rollout.candidates)
    levels = _rollback_levels(rollout, candidate)
    asked = _asked(rollout, candidate)
    successes = sum(gate.role is GateRole.SUCCESS for _, gate, _ in asked)
    alpha = rollout.conduct.alpha_promote / count
    return [
        Planned(
            candidate=candidate,
            gate=gate,
            metric=metric_of(gate, rollout.fields),
            design=design,
            alpha_promote=alpha / successes if gate.role is GateRole.SUCCESS else alpha,
            alpha_rollback=levels.get(name),
        )
        for name, gate, design in asked
    ]


def _rollback_levels(rollout: Rollout, candidate: str) -> dict[str, float]:
    weights = {name: gate.weight for name, gate, _ in _asked(rollout, candidate) if gate.role in GUARDED}
    if splits(rollout, candidate) and not any(_is_fire_test(gate, design) for _, gate, design in _asked(rollout, candidate)):
        weights[FIRE] = _FIRE_WEIGHT
    return split_alpha(rollout.conduct.alpha_rollback / len(rollout.candidates), weights) if weights else {}


def _is_fire_test(gate: Gate, design: Design) -> bool:
    relative = gate.margin is not None and gate.margin.kind is MarginKind.RELATIVE
    whole = gate.metric == "error_rate" and gate.slice is None
    return whole and gate.role in GUARDED and design is Design.SPLIT and relative


def _asked(rollout: Rollout, candidate: str) -> list[tuple[str, Gate, Design]]:
    """Each gate in each of its designs, with a name that no other has."""
    return [
        (f"{place}:{design}", gate, design)
        for place, gate in enumerate(rollout.gates)
        for design in designs_of(gate, rollout, candidate=candidate)
    ]


def designs_of(gate: Gate, rollout: Rollout, *, candidate: str) -> tuple[Design, ...]:
    """How the gate is asked: as declared, else every way that the ladder allows, else one that will never have data."""
    metric = metric_of(gate, rollout.fields)
    if gate.limit is not None or metric.designs == {Design.LIMIT}:
        return (Design.LIMIT,)
    if gate.design is not Design.AUTO:
        return (gate.design,)
    allowed = {Design.PAIRED: shows(rollout, candidate), Design.SPLIT: splits(rollout, candidate)}
    found = tuple(design for design, there in allowed.items() if there and design in metric.designs)
    return found or (Design.SPLIT if Design.SPLIT in metric.designs else Design.PAIRED,)
