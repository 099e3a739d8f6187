"""Reading what a report or a status is made of: one transaction, so that all of it is of one moment."""

from sqlalchemy import Connection, select
from sqlalchemy import Engine as Database

from modelctl.conduct import Engine
from modelctl.controlplane.comparison import Evidence
from modelctl.controlplane.funnel import funnels_of
from modelctl.controlplane.judging import Judgement, judge
from modelctl.controlplane.needed import metrics_for
from modelctl.controlplane.report import Findings
from modelctl.controlplane.sums import Sums
from modelctl.errors import NotFound
from modelctl.rollout import Rollout
from modelctl.store import catalog, reading, summing
from modelctl.store import engine as store
from modelctl.store.summing import Part, Sum
from modelctl.store.tables import decision

WORST = 10
AUDIT = 200


def findings(engine: Database, route: str, *, rollout: int | None = None) -> Findings:
    """Everything for the report of the route's open rollout, else its last one, else the one asked for. Raises NotFound."""
    with store.reading(engine) as connection:
        chosen = _chosen(connection, route, rollout=rollout)
        evidence, rows = evidence_of(connection, chosen)
        return Findings(
            evidence=evidence,
            rows=rows,
            newest=evidence.newest,
            worst=tuple(
                pair
                for candidate in chosen.candidates
                for pair in reading.worst_pairs(connection, chosen.id, candidate=candidate, limit=WORST)
            )[:WORST],
            audit=reading.events(connection, {"rollout": chosen.id}, limit=AUDIT).items,
        )


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


def _chosen(connection: Connection, route: str, *, rollout: int | None) -> Rollout:
    if rollout is not None:
        found = catalog.find_rollout(connection, rollout)
        if found.route != route:
            raise NotFound(f"rollout {rollout} is of route {found.route!r}, not of {route!r}")
        return found
    last = catalog.last_rollout(connection, route)
    if last is None:
        catalog.load(connection).route(route)
        raise NotFound(f"route {route!r} has had no rollout yet, so there is nothing to report; start one: modelctl shadow {route}")
    return last
