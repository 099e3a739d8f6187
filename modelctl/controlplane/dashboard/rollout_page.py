"""One rollout: where it stands, what the evidence says, what may be done, and what was done."""

import msgspec
from sqlalchemy import Connection, Engine
from starlette.responses import Response

from modelctl.controlplane.dashboard.drawing import forests, funnels
from modelctl.controlplane.dashboard.visit import Visit
from modelctl.controlplane.report.status import RouteStatus, rollout_status
from modelctl.rollout import Rollout, Verb, legal_verbs
from modelctl.store import catalog as store
from modelctl.store import glance, reading
from modelctl.store.catalog import Event, RouteEntry
from modelctl.store.engine import reading as transaction
from modelctl.store.glance import Minute

EVENTS = 20
MINUTES = 60


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout of one moment. `minutes` are of the last hour."""

    rollout: Rollout
    route: RouteEntry
    status: RouteStatus
    events: tuple[Event, ...]
    more_events: bool
    minutes: tuple[Minute, ...]


async def show(visit: Visit) -> Response:
    """The page."""
    seen = await visit.run(read_seen, visit.id(), at=visit.at)
    return await visit.page(
        "rollout.html", seen=seen, verbs=verbs_of(seen.rollout), chart=chart_of(seen.minutes), figures=_figures(seen.status)
    )


def _figures(status: RouteStatus) -> dict[str, tuple[str, ...]]:
    gates = status.rollout.gates if status.rollout else ()
    return {"forests": forests(gates), "funnels": funnels(status.funnel)}


def read_seen(engine: Engine, rollout: int, *, at: int) -> Seen:
    """Raises NotFound."""
    with transaction(engine) as connection:
        found = store.find_rollout(connection, rollout)
        route = store.find_route(connection, found.route)
        events = reading.events(connection, {"rollout": rollout}, limit=EVENTS)
        return Seen(
            rollout=found,
            route=route,
            status=rollout_status(connection, route, rollout=found, at=at),
            events=events.items,
            more_events=events.next is not None,
            minutes=_minutes(connection, found, at=at),
        )


def verbs_of(rollout: Rollout) -> tuple[str, ...]:
    """What a person may do now, in the order of the page: forward, then aside, then back."""
    legal = legal_verbs(rollout)
    forward = [verb for verb in (Verb.ADVANCE, Verb.PROMOTE) if verb in legal]
    aside = [verb for verb in (Verb.RESUME, Verb.PAUSE) if verb in legal]
    approve = ["approve"] if rollout.open else []
    back = [verb for verb in (Verb.COMPLETE, Verb.ROLLBACK) if verb in legal]
    return tuple(str(verb) for verb in (*forward, *approve, *aside, *back))


class Chart(msgspec.Struct, frozen=True):
    """Requests a minute by arm, oldest first: `arms`, then a row for each minute with a count for each arm."""

    arms: tuple[str, ...]
    rows: tuple[tuple[int, tuple[int, ...]], ...]


def chart_of(minutes: tuple[Minute, ...]) -> Chart:
    """Minutes without requests between the first and the last are there, with zeros."""
    if not minutes:
        return Chart((), ())
    arms = tuple(dict.fromkeys(one.arm for one in minutes))
    counts = {(one.minute, one.arm): one.served.requests for one in minutes}
    span = range(minutes[0].minute, minutes[-1].minute + 1)
    return Chart(arms, tuple((minute * 60, tuple(counts.get((minute, arm), 0) for arm in arms)) for minute in span))


def _minutes(connection: Connection, rollout: Rollout, *, at: int) -> tuple[Minute, ...]:
    until = (rollout.closed_at * 1000 or at) // 60_000_000
    found = glance.by_minute(connection, rollout.route, rollouts=(rollout.id,), since=until - MINUTES)
    return whole(found, at=at)


def whole(minutes: tuple[Minute, ...], *, at: int) -> tuple[Minute, ...]:
    """Without the minute that is not over at Unix microsecond `at`: it would look like a fall."""
    return tuple(one for one in minutes if one.minute < at // 60_000_000)
