"""Every comparison of a rollout from its sums: its gates, or failures at zero harm without any, then what is shown. Pure."""

from modelctl.controlplane.judgement.comparison import Compared, Evidence
from modelctl.controlplane.judgement.failures import compare_failures
from modelctl.controlplane.judgement.fire import compare_fire
from modelctl.controlplane.judgement.gates_compared import compare_gates
from modelctl.controlplane.judgement.shown import compare_shown


def compare(evidence: Evidence, *, at: int) -> tuple[Compared, ...]:
    """Those that decide first. Forecasts are as of Unix millisecond `at`; nothing else depends on it."""
    candidates = evidence.rollout.candidates
    guarded = _gates_and_fires(evidence, at=at) if evidence.rollout.gates else compare_failures(evidence)
    shown = tuple(one for candidate in candidates for one in compare_shown(evidence, candidate))
    return (*(one for name in candidates for one in guarded if one.row.candidate_name == name), *shown)


def _gates_and_fires(evidence: Evidence, *, at: int) -> tuple[Compared, ...]:
    fires = (compare_fire(evidence, candidate) for candidate in evidence.rollout.candidates)
    return (*compare_gates(evidence, at=at), *(fire for fire in fires if fire is not None))
