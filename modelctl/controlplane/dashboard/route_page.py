"""One route: what answers on it, its rollouts so far, how to start one, and the way back to a baseline it had."""

import msgspec
from sqlalchemy import Engine
from starlette.responses import Response

from modelctl.controlplane.api.problems import Problem
from modelctl.controlplane.automation.next_moves import WatchStatus, watch_of
from modelctl.controlplane.dashboard.commanding import command
from modelctl.controlplane.dashboard.outcome import outcome
from modelctl.controlplane.dashboard.rollout_page import MINUTES, chart_of, whole
from modelctl.controlplane.dashboard.visit import Visit, fields_of
from modelctl.controlplane.dashboard.words import command as typed
from modelctl.rollout import Rollout
from modelctl.store import catalog as store
from modelctl.store import glance, reading
from modelctl.store.catalog import Event, RouteEntry
from modelctl.store.engine import reading as transaction
from modelctl.store.glance import Minute

ROLLOUTS = 20
FIELDS = ("to", "reason", "actor")


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A route of one moment. `baselines` are the changes of its baseline, newest first; `watch` a promotion that may go back."""

    route: RouteEntry
    rollouts: tuple[Rollout, ...]
    events: tuple[Event, ...]
    baselines: tuple[Event, ...]
    minutes: tuple[Minute, ...]
    watch: WatchStatus | None

    @property
    def open(self) -> Rollout | None:
        """The rollout that decides about its traffic now."""
        return next((rollout for rollout in self.rollouts if rollout.open), None)


async def show(visit: Visit) -> Response:
    """The page."""
    seen = await visit.run(read_seen, visit.name(), at=visit.at)
    return await visit.page("route.html", seen=seen, route=seen.route, chart=chart_of(seen.minutes))


def read_seen(engine: Engine, name: str, *, at: int) -> Seen:
    """Raises NotFound."""
    with transaction(engine) as connection:
        route = store.find_route(connection, name)
        rollouts = reading.rollouts(connection, {"route": name}, limit=ROLLOUTS).items
        lately = tuple(rollout.id for rollout in rollouts if rollout.open or rollout.closed_at * 1000 > at - MINUTES * 60_000_000)
        return Seen(
            route=route,
            rollouts=rollouts,
            events=reading.events(connection, {"route": name}, limit=ROLLOUTS).items,
            baselines=reading.baseline_events(connection, name),
            minutes=whole(glance.by_minute(connection, name, rollouts=(0, *lately), since=at // 60_000_000 - MINUTES), at=at),
            watch=watch_of(connection, name, at=at),
        )


async def ask(visit: Visit) -> Response:
    """Which baseline to put back, and the form that does it."""
    return await _back_page(visit, fields={"actor": visit.actor, **visit.request.query_params})


async def put_back(visit: Visit) -> Response:
    """Puts it back, and goes to the route; or shows the form again with what was wrong."""
    fields = await visit.form()
    body = {"to": int(fields["to"])} if fields.get("to", "").isdecimal() else {}
    answer = await command(visit, f"/v1/routes/{visit.name()}:rollback", fields=fields, body=body)
    if answer.problem is not None:
        return await _back_page(visit, fields=fields, wrong=answer.problem)
    told = outcome(f"route {visit.name()} is back on {answer.value['route']['baseline']}", answer.value)
    return visit.done(f"/routes/{visit.name()}", told=told, actor=fields.get("actor", ""))


async def _back_page(visit: Visit, *, fields: dict[str, str], wrong: Problem | None = None) -> Response:
    seen = await visit.run(read_seen, visit.name(), at=visit.at)
    line = typed("rollback", seen.route.name, to=fields.get("to", ""), reason=fields.get("reason", ""))
    return await visit.page(
        "put_back.html",
        status=wrong.status if wrong else 200,
        seen=seen,
        route=seen.route,
        fields=fields_of(fields, *FIELDS),
        wrong=wrong,
        command_line=line,
    )
