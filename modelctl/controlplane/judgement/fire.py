"""The alarm for fires: of the failures, does the candidate have far more than its share? In every rollout that splits traffic.

It is quick where the difference is slow: ten times the errors on a 5 % canary are proven after some two thousand requests. It can
only roll back. What it must prove depends on what was declared about errors:

    nothing              the candidate fails more often than the baseline
    a relative margin    by more than that (as its own gate, when it compares split traffic)
    an absolute margin   more than twice as often, and its proven rate is above the baseline's observed one by more than the margin
    a limit              more than twice as often, and its proven rate is above the limit

That the observed difference alone is above the margin would not do: with a margin of half a point, a candidate at 0.6 % against
0.1 % is twice as bad for sure and no worse than tolerated, and four of five such canaries would be rolled back.
"""

from dataclasses import replace

import msgspec

from modelctl.controlplane.judgement.comparison import FINDINGS, Compared, Evidence
from modelctl.controlplane.judgement.failure_ratio import TITLE, failure_ratio, failures_of, ratio_row
from modelctl.controlplane.judgement.levels import fire_alpha
from modelctl.controlplane.judgement.measured import Question, proportion_stages
from modelctl.gate import Gate, GateRole, MarginKind
from modelctl.rollout import Rollout
from modelctl.statistics import coin, difference_exact
from modelctl.statistics.verdict import Role, criterion

TWICE = 1.0
"""The relative harm that a fire exceeds where some harm is tolerated: more than twice as many failures."""


def compare_fire(evidence: Evidence, candidate: str) -> Compared | None:
    """The row of the alarm, and a criterion that can only roll back; None where the rollout has no such alarm."""
    alpha = fire_alpha(evidence.rollout, candidate)
    if alpha is None:
        return None
    asked = failures_of(evidence, candidate)
    gate = declared(evidence.rollout)
    result = failure_ratio(asked, alpha)
    found = criterion(
        f"{candidate}: {TITLE}",
        Role.GUARDRAIL,
        margin=tolerated(gate),
        higher_is_better=False,
        for_rollback=result,
        for_promote=result,
    )
    if not _beyond(asked, gate, alpha=alpha):
        found = replace(found, lower=min(found.lower, found.margin))
    row = ratio_row(asked, result, events="events")
    changes = {"role": "guarded", "design": "split", "margin": found.margin, "finding": FINDINGS[found.finding]}
    return Compared(msgspec.structs.replace(row, **changes), found, fire=True)


def declared(rollout: Rollout) -> Gate | None:
    """The first gate that says how much harm by failures is tolerated."""
    return next((gate for gate in rollout.gates if gate.metric == "error_rate" and gate.role is not GateRole.INFO), None)


def tolerated(gate: Gate | None) -> float:
    """The relative harm that must be exceeded."""
    if gate is None or gate.zero_tolerance or (gate.margin is None and gate.limit is None):
        return 0.0
    return gate.margin.amount if gate.margin is not None and gate.margin.kind is MarginKind.RELATIVE else TWICE


def _beyond(asked: Question, gate: Gate | None, *, alpha: float) -> bool:
    """Whether what was observed is beyond what is declared; the ratio alone decides where that is none, or relative."""
    if gate is None or gate.zero_tolerance or tolerated(gate) != TWICE:
        return True
    stages = proportion_stages(asked)
    if gate.limit is not None:
        n, k = sum(stage.candidate.n for stage in stages), sum(stage.candidate.k for stage in stages)
        return coin.interval(k, n, alpha=alpha)[0] > gate.limit
    return gate.margin is not None and difference_exact.proven_excess(stages, alpha=alpha) > gate.margin.amount
