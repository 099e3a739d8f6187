"""Reading what a report is made of: one transaction, so that all of it is of one moment."""

from sqlalchemy import Connection
from sqlalchemy import Engine as Database

from modelctl.controlplane.judgement.inquiry import evidence_of
from modelctl.controlplane.report.content import Findings
from modelctl.errors import NotFound
from modelctl.rollout import Rollout
from modelctl.store import catalog, reading
from modelctl.store import engine as store

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
