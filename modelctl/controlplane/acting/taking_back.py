"""One look at a watched promotion, and what follows from proven harm: told in the history, and in mode auto taken back."""

from sqlalchemy import Connection, Engine

from modelctl.conduct import Mode
from modelctl.controlplane.acting.steering import Guard
from modelctl.controlplane.automation.conducting import CONTROLLER, ROLLBACK
from modelctl.controlplane.automation.watching import WATCH, harm_since, watched
from modelctl.controlplane.judgement.bundle import write_bundle
from modelctl.controlplane.judgement.inquiry import judgement_of
from modelctl.controlplane.operations.change import Author, Change
from modelctl.controlplane.operations.returning import take_back
from modelctl.rollout import Rollout
from modelctl.store import catalog, decisions
from modelctl.store.catalog import Event, RouteEntry
from modelctl.store.decisions import Decision
from modelctl.store.engine import reading, writing


def watch(engine: Engine, rollout: Rollout, *, at: int, guard: Guard) -> Change[RouteEntry] | None:
    """Looks at a watched rollout once; the change that took it back, or None. Raises StoreError, LeaseLost, Conflict."""
    with reading(engine) as connection:
        harmless = not harm_since(connection, rollout, at=at) or _told(connection, rollout)
    if harmless:
        return None
    with writing(engine) as connection:
        now = guard(connection)
        if rollout not in watched(connection, at=now) or _told(connection, rollout):
            return None
        return _act(connection, rollout, at=now)


def _act(connection: Connection, rollout: Rollout, *, at: int) -> Change[RouteEntry] | None:
    said = harm_since(connection, rollout, at=at)
    if not said:
        return None
    auto = rollout.conduct.mode is Mode.AUTO
    evidence, judgement = judgement_of(connection, rollout, at=at // 1000)
    decision = Decision(rollout=rollout.id, kind=WATCH, at=at, sentence=said, acted=ROLLBACK if auto else "")
    written = decisions.latch(connection, decision, bundle=write_bundle(evidence, judgement, at=at // 1000))
    event = Event(
        at=at,
        actor=CONTROLLER,
        action="decision",
        route=rollout.route,
        rollout=rollout.id,
        reason=said,
        detail={"kind": WATCH, "decision": written.id, "command": f"modelctl rollback {rollout.route}"},
    )
    catalog.append_event(connection, event)
    reason = f"{said} {rollout.baseline} is the baseline again."
    return take_back(connection, rollout, author=Author(actor=CONTROLLER, reason=reason, at=at)) if auto else None


def _told(connection: Connection, rollout: Rollout) -> bool:
    return any(one.kind == WATCH for one in decisions.latched(connection, rollout.id))
