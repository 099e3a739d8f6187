"""From what is registered and open to the table that routers serve from. Pure; the same input gives the same bytes."""

from collections.abc import Iterable

import msgspec

from modelctl.rollout import Rollout, settled
from modelctl.store.catalog import Catalog, RouteEntry
from modelctl.traffic import Backend, Route, RoutingTable


def compile_table(
    version: int, *, backends: Iterable[Backend], routes: Iterable[RouteEntry], rollouts: Iterable[Rollout]
) -> RoutingTable:
    """The complete table. `rollouts` are the open ones, at most one for a route; a paused one keeps its shares.

    Raises InvalidTable when a route or rollout names a backend that is not among `backends`.
    """
    deciding = {rollout.route: rollout for rollout in rollouts if rollout.open}
    return RoutingTable(
        version=version,
        backends=tuple(sorted(backends, key=lambda backend: backend.name)),
        routes=tuple(compile_route(route, deciding.get(route.name)) for route in sorted(routes, key=lambda route: route.name)),
    )


def compile_catalog(catalog: Catalog) -> RoutingTable:
    """The table of a catalog, at its version."""
    backends = (entry.backend for entry in catalog.backends)
    return compile_table(catalog.version, backends=backends, routes=catalog.routes, rollouts=catalog.rollouts)


def compile_route(route: RouteEntry, rollout: Rollout | None) -> Route:
    """One route: the split of its open rollout's step, or its baseline alone."""
    arms = settled(route.baseline) if rollout is None else rollout.current.arms
    address = Route(name=route.name, path=route.path, host=route.host, unit=route.unit, capture=route.capture, arms=arms)
    if rollout is None:
        return address
    return msgspec.structs.replace(
        address, salt=rollout.salt, rollout=rollout.id, stage=rollout.stage, preview=rollout.current.preview
    )


def bereft(before: RoutingTable, after: RoutingTable) -> tuple[str, ...]:
    """The backends that some route sent requests to and now sends none, in the order of their names."""
    now = {(route.name, name) for route in after.routes for name in receiving(route)}
    return tuple(sorted({name for route in before.routes for name in receiving(route) if (route.name, name) not in now}))


def receiving(route: Route) -> set[str]:
    """The backends that get requests of the route at its own address."""
    return {arm.backend for arm in route.arms if arm.answers or arm.shown}
