"""Routes over HTTP."""

import msgspec
from msgspec import UNSET, UnsetType

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.asking import partial, strict
from modelctl.controlplane.fleet import Convergence
from modelctl.controlplane.operations.changing import change_route
from modelctl.controlplane.operations.inspecting import read_catalog
from modelctl.controlplane.operations.moving import Move, move_rollout
from modelctl.controlplane.operations.outlook import Plan, PlanBody, plan_rollout
from modelctl.controlplane.operations.routes import NewRoute, add_route, put_baseline_back, remove_route
from modelctl.errors import Conflict
from modelctl.metric import Dimension, Field
from modelctl.policy import Admission, Breaker
from modelctl.rollout import Rollout, Verb
from modelctl.store.catalog import Catalog, RouteEntry
from modelctl.traffic import Capture


class RouteView(msgspec.Struct, frozen=True, kw_only=True):
    """A route. `rollout` is its open rollout's id, or null. `convergence` comes with an answer to a change."""

    name: str
    path: str
    host: str
    unit: str
    capture: Capture
    admission: Admission
    breaker: Breaker | None
    fields: tuple[Field, ...]
    dimensions: tuple[Dimension, ...]
    baseline: str
    rollout: int | None
    revision: int
    created_at: int
    convergence: Convergence | UnsetType = UNSET


class Routes(msgspec.Struct, frozen=True):
    """All routes, in the order of their names."""

    items: tuple[RouteView, ...]
    next: str | None = None


class PutBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`to` is the event that set the wanted baseline; without it, the one before the last change is put back."""

    to: int | None = None
    reason: str = ""
    actor: str = ""


class PutBackDone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The route, the rollout that was open and is now rolled back (when there was one), and where the routers stand."""

    route: RouteView
    rollout: Rollout | None = None
    convergence: Convergence


async def list_routes(call: Call) -> Routes:
    catalog = await call.run(read_catalog)
    return Routes(tuple(_view(entry, catalog) for entry in catalog.routes))


async def create_route(call: Call) -> RouteView:
    change = await call.run(add_route, call.body, author=call.author())
    return _view(change.subject, Catalog(), convergence=await call.conclude(change))


async def show_route(call: Call) -> RouteView:
    catalog = await call.run(read_catalog)
    return _view(catalog.route(call.name()), catalog)


async def patch_route(call: Call) -> RouteView:
    change = await call.run(change_route, call.name(), changes=call.body, author=call.author(), revision=call.revision())
    return _view(change.subject, await call.run(read_catalog), convergence=await call.conclude(change))


async def delete_route(call: Call) -> RouteView:
    change = await call.run(remove_route, call.name(), author=call.author(), revision=call.revision())
    return _view(change.subject, Catalog(), convergence=await call.conclude(change))


async def roll_back_route(call: Call) -> PutBackDone:
    """Ends the open rollout if there is one; else puts a previous baseline back."""
    catalog = await call.run(read_catalog)
    entry = catalog.route(call.name())
    rollout = catalog.open_rollout(entry.name)
    if rollout is None:
        change = await call.run(put_baseline_back, entry.name, author=call.author(), to=call.body.to, revision=call.revision())
        return PutBackDone(route=_view(change.subject, Catalog()), convergence=await call.conclude(change))
    if call.body.to is not None:
        raise Conflict(f"route {entry.name!r} has an open rollout; end it first, then go back:\n  modelctl rollback {entry.name}")
    moved = await call.run(move_rollout, rollout.id, move=Move(verb=Verb.ROLLBACK), author=call.author())
    return PutBackDone(route=_view(entry, Catalog()), rollout=moved.subject, convergence=await call.conclude(moved))


async def plan_route(call: Call) -> Plan:
    """Changes nothing; it is a POST because what is planned is an object."""
    return await call.run(plan_rollout, call.name(), wanted=call.body, at=call.at)


def _view(entry: RouteEntry, catalog: Catalog, *, convergence: Convergence | UnsetType = UNSET) -> RouteView:
    rollout = catalog.open_rollout(entry.name)
    return RouteView(**msgspec.structs.asdict(entry), rollout=rollout.id if rollout else None, convergence=convergence)


ENDPOINTS = (
    Endpoint(method="GET", path="/v1/routes", handle=list_routes, summary="List the routes", answer=Routes),
    Endpoint(
        method="POST",
        path="/v1/routes",
        handle=create_route,
        summary="Add a route",
        body=strict(NewRoute),
        answer=RouteView,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/v1/routes/{name:name}:rollback",
        handle=roll_back_route,
        summary="Roll the open rollout back, or put a previous baseline back",
        body=PutBack,
        answer=PutBackDone,
    ),
    Endpoint(
        method="POST",
        path="/v1/routes/{name:name}:plan",
        handle=plan_route,
        summary="How long until the open rollout, or the one described, can decide; changes nothing",
        body=PlanBody,
        answer=Plan,
    ),
    Endpoint(method="GET", path="/v1/routes/{name:name}", handle=show_route, summary="Show a route", answer=RouteView),
    Endpoint(
        method="PATCH",
        path="/v1/routes/{name:name}",
        handle=patch_route,
        summary="Change a route's address, unit or policies: objects are merged, null is the default",
        body=partial(NewRoute, without=("name", "baseline")),
        answer=RouteView,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/routes/{name:name}",
        handle=delete_route,
        summary="Remove a route without an open rollout",
        answer=RouteView,
    ),
)
