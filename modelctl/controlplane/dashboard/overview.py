"""Routes and rollouts at a glance: what moves first, then what rests."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine
from starlette.responses import Response

from modelctl.controlplane.dashboard.kept import Kept
from modelctl.controlplane.dashboard.paging import Part, part_of
from modelctl.controlplane.dashboard.visit import Visit
from modelctl.controlplane.report.status import EvidenceStatus, RouteStatus, evidence_status, rollout_status
from modelctl.rollout import Rollout
from modelctl.store import catalog as store
from modelctl.store import glance
from modelctl.store.catalog import Catalog, RouteEntry
from modelctl.store.engine import reading
from modelctl.store.glance import Served

WINDOW_MINUTES = 5


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One route. `status` is there while a rollout is open; `last` is the one that ended last, `served` the last five minutes."""

    route: RouteEntry
    rollout: Rollout | None = None
    status: RouteStatus | None = None
    last: Rollout | None = None
    served: Served = Served()


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """`opened` counts open rollouts over all pages; `evidence` is that of all routes."""

    lines: Part[Line]
    opened: int
    backends: int
    table_version: int
    evidence: EvidenceStatus


async def show(visit: Visit) -> Response:
    """The page; `q` narrows it to routes with that text in their name, address, baseline or candidates."""
    search = visit.asked("q")
    look = Look(at=visit.at, glances=visit.site.glances, spools=visit.plane.replayer.spools)
    seen = await visit.run(read_overview, look, search=search, page=visit.asked("page"))
    return await visit.page("overview.html", seen=seen, search=search, workers=visit.plane.fleet.workers())


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """When it is looked at (Unix microseconds), the rollouts somebody looked at just before, and the spools of this machine."""

    at: int
    glances: Kept[RouteStatus]
    spools: Path | None = None


def read_overview(engine: Engine, look: Look, *, search: str, page: str) -> Overview:
    """One page of it. What is not on the page is not looked at."""
    with reading(engine) as connection:
        catalog = store.load(connection)
        part = part_of(_chosen(catalog, search), page)
        return Overview(
            lines=Part(_lines(connection, catalog, routes=part.items, look=look), part.page, part.pages, part.total),
            opened=len(catalog.rollouts),
            backends=len(catalog.backends),
            table_version=catalog.version,
            evidence=evidence_status(connection, at=look.at, root=look.spools),
        )


def _chosen(catalog: Catalog, search: str) -> list[RouteEntry]:
    """Routes with an open rollout first, the newest at the top; the others by name."""
    opened = {rollout.route: rollout for rollout in catalog.rollouts}

    def words(route: RouteEntry) -> str:
        rollout = opened.get(route.name)
        return " ".join((route.name, route.host + route.path, route.baseline, *(rollout.candidates if rollout else ()))).lower()

    found = [route for route in catalog.routes if search.lower() in words(route)]
    return sorted(found, key=lambda route: (-opened[route.name].id if route.name in opened else 0, route.name))


def _lines(connection: Connection, catalog: Catalog, *, routes: Sequence[RouteEntry], look: Look) -> list[Line]:
    opened = {rollout.route: rollout for rollout in catalog.rollouts}
    resting = [route.name for route in routes if route.name not in opened]
    last = glance.last_rollouts(connection, resting)
    served = glance.served_since(connection, resting, since=look.at // 60_000_000 - WINDOW_MINUTES)
    return [
        _moving(connection, route, rollout=opened[route.name], look=look)
        if route.name in opened
        else Line(route=route, last=last.get(route.name), served=served.get((route.name, 0, route.baseline), Served()))
        for route in routes
    ]


def _moving(connection: Connection, route: RouteEntry, *, rollout: Rollout, look: Look) -> Line:
    """Verdicts are worked out anew when the rollout changed, else every few seconds: they cost more than all else on the page."""

    def work_out() -> RouteStatus:
        return rollout_status(connection, route, rollout=rollout, at=look.at)

    key = (rollout.id, rollout.revision, route.revision)
    return Line(route=route, rollout=rollout, status=look.glances.get(key, work_out, at=look.at))
