"""From a large-sample estimate to an interval, by the rollout's engine. Pure.

    anytime   the normal mixture, valid at every look
    gst       planned looks at equal parts of max_n; between them nothing is claimed. A look is spent when it is taken, so whoever
              keeps the books stores it (`Judgement.look`), and `Evidence.looks` are those before
    fixed     one look, at max_n, with the interval of a single look

Exact methods (coin, bets, arm given event) are valid at every look under any engine, and so is the alarm for fires.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from modelctl.conduct import Engine
from modelctl.controlplane.judgement.comparison import Evidence, seen_by
from modelctl.rollout import Rollout
from modelctl.statistics.comparison import Comparison, State
from modelctl.statistics.estimate import Estimate, anytime, at_z, single_look
from modelctl.statistics.group_sequential import Spending, boundaries
from modelctl.traffic import Role


def interval(evidence: Evidence, estimate: Estimate, *, tau: float, alpha: float) -> Comparison:
    """The estimate as a comparison against 0; the whole line where it may not be used, or not yet."""
    return _ENGINES[evidence.rollout.conduct.engine](evidence, estimate, tau=tau, alpha=alpha)


def share_seen(evidence: Evidence) -> float:
    """The part of max_n that has been seen, at most 1; 0 without a maximum."""
    most = evidence.rollout.conduct.max_n
    n = sum(seen_by(evidence, name) for name in evidence.rollout.candidates)
    return min(1.0, n / most) if most else 0.0


def due_look(evidence: Evidence) -> float:
    """The share of max_n at which a planned look is taken now; 0 when none is due."""
    conduct, taken, share = evidence.rollout.conduct, evidence.looks, share_seen(evidence)
    if conduct.engine is not Engine.GROUP_SEQUENTIAL or (taken and taken[-1] >= 1):
        return 0.0
    return share if share >= next_look(evidence) else 0.0


def next_look(evidence: Evidence) -> float:
    """The share of max_n at which the next look is planned."""
    looks, taken = evidence.rollout.conduct.looks, evidence.looks
    return min(1.0, (int(taken[-1] * looks + 1e-9) + 1) / looks) if taken else 1 / looks


def refusal(rollout: Rollout) -> str:
    """Why the rollout cannot be judged as it is declared; empty when it can.

    Planned looks count information, and under a ramp requests are no measure of it.
    """
    shares = {sum(arm.answers for arm in step.arms if arm.role is Role.CANDIDATE) for step in rollout.steps}
    if rollout.conduct.engine is Engine.GROUP_SEQUENTIAL and len(shares) > 1:
        return "the engine gst plans its looks for one constant share; leave --engine gst out, or the steps"
    return ""


def _anytime(evidence: Evidence, estimate: Estimate, *, tau: float, alpha: float) -> Comparison:
    return anytime(estimate, tau=tau, alpha=alpha)


def _planned(evidence: Evidence, estimate: Estimate, *, tau: float, alpha: float) -> Comparison:
    share = due_look(evidence)
    if not share:
        over = bool(evidence.looks) and evidence.looks[-1] >= 1
        place = next_look(evidence) * evidence.rollout.conduct.max_n
        return _withheld(estimate, "the last look was taken" if over else f"the next look is at {place:,.0f}", alpha=alpha)
    zs = boundaries((*evidence.looks, share), Spending(alpha=alpha), closing=share >= 1)
    return at_z(estimate, zs[-1], method="group-sequential", alpha=alpha)


def _once(evidence: Evidence, estimate: Estimate, *, tau: float, alpha: float) -> Comparison:
    if share_seen(evidence) < 1:
        most = evidence.rollout.conduct.max_n
        return _withheld(estimate, f"the engine fixed looks once, at {most:,}", alpha=alpha)
    return single_look(estimate, alpha=alpha)


_ENGINES: Mapping[Engine, Callable[..., Comparison]] = MappingProxyType(
    {Engine.ANYTIME: _anytime, Engine.GROUP_SEQUENTIAL: _planned, Engine.FIXED: _once}
)


def _withheld(estimate: Estimate, reason: str, *, alpha: float) -> Comparison:
    state = State.GATE if estimate.state is State.OK else estimate.state
    return Comparison(
        estimate=estimate.value, n=estimate.n, method="withheld", alpha=alpha, state=state, reason=estimate.reason or reason
    )
