"""Reading the evidence a rollout is judged by: in the caller's transaction, so that all of it is of one moment."""

from sqlalchemy import Connection, select

from modelctl.conduct import Engine
from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.funnel import funnels_of
from modelctl.controlplane.judgement.judging import Judgement, judge
from modelctl.controlplane.judgement.needed import metrics_for
from modelctl.controlplane.judgement.sums import Sums
from modelctl.rollout import Rollout
from modelctl.store import catalog, summing
from modelctl.store.summing import Part, Sum
from modelctl.store.tables import decision


def evidence_of(connection: Connection, rollout: Rollout) -> tuple[Evidence, tuple[Sum, ...]]:
    """The rollout's whole evidence, and the sums it indexes."""
    rows = summing.sums(connection, rollout.route, rollout=rollout.id)
    newest = summing.newest_minute(connection, rollout.route, rollout=rollout.id)
    return _evidence(connection, rollout, rows=rows, newest=newest), rows


def judged_evidence(connection: Connection, rollout: Rollout) -> Evidence:
    """What a judgement reads, and no more: it costs the same however much else was recorded."""
    part = Part(
        route=rollout.route,
        rollout=rollout.id,
        stages=tuple(stage.id for stage in catalog.stages(connection, rollout.id)),
        arms=(rollout.baseline, *rollout.candidates),
        metrics=metrics_for(rollout),
    )
    rows, newest = summing.sums_of(connection, part)
    return _evidence(connection, rollout, rows=rows, newest=newest)


def _evidence(connection: Connection, rollout: Rollout, *, rows: tuple[Sum, ...], newest: int | None) -> Evidence:
    return Evidence(
        rollout=rollout,
        stages=catalog.stages(connection, rollout.id),
        sums=Sums(rows),
        pivots=summing.pivots(connection, rollout.route, rollout=rollout.id),
        newest=newest,
        looks=looks_taken(connection, rollout),
    )


LOOK = "look:"
"""How the kinds of stored decisions begin that keep planned looks: look:1, look:2. A sentence begins with the share of max_n."""


def looks_taken(connection: Connection, rollout: Rollout) -> tuple[float, ...]:
    """The shares of max_n at which the rollout's planned looks were taken, in their order. None but under the engine gst."""
    if rollout.conduct.engine is not Engine.GROUP_SEQUENTIAL:
        return ()
    kept = select(decision.c.sentence).where(decision.c.rollout == rollout.id, decision.c.kind.startswith(LOOK))
    return tuple(float(row.sentence.split()[0]) for row in connection.execute(kept.order_by(decision.c.id)))


def judgement_of(connection: Connection, rollout: Rollout, *, at: int) -> tuple[Evidence, Judgement]:
    """The evidence that decides about the rollout, and what it comes to at Unix millisecond `at`."""
    evidence = judged_evidence(connection, rollout)
    return evidence, judge(evidence, at=at, funnels=funnels_of(evidence))
