"""From what is registered and open to the table that routers serve from. Pure; the same input gives the same bytes."""

from collections.abc import Iterable

import msgspec

from modelctl.errors import InvalidInput
from modelctl.kinds import KINDS
from modelctl.metric import Dimension, DimensionSource
from modelctl.policy import Health
from modelctl.rollout import Rollout, settled
from modelctl.store.catalog import Catalog, RouteEntry
from modelctl.traffic import ALL, Backend, Capture, Route, RoutingTable


def compile_table(
    version: int, *, backends: Iterable[Backend], routes: Iterable[RouteEntry], rollouts: Iterable[Rollout]
) -> RoutingTable:
    """The complete table. `rollouts` are the open ones, at most one for a route; a paused one keeps its shares.

    Raises InvalidTable when a route or rollout names a backend that is not among `backends`.
    """
    deciding = {rollout.route: rollout for rollout in rollouts if rollout.open}
    return RoutingTable(
        version=version,
        backends=tuple(compile_backend(backend) for backend in sorted(backends, key=lambda backend: backend.name)),
        routes=tuple(compile_route(route, deciding.get(route.name)) for route in sorted(routes, key=lambda route: route.name)),
    )


def compile_catalog(catalog: Catalog) -> RoutingTable:
    """The table of a catalog, at its version."""
    backends = (entry.backend for entry in catalog.backends)
    return compile_table(catalog.version, backends=backends, routes=catalog.routes, rollouts=catalog.rollouts)


def compile_backend(backend: Backend) -> Backend:
    """The backend with the health checks that routers make of it."""
    return msgspec.structs.replace(backend, health=checks_of(backend))


def checks_of(backend: Backend) -> Health | None:
    """The health checks of a registered backend: what was set, else its kind's; None for none.

    The kind's are made of what a specification demands of every server, and where there is something to choose between: a lone
    endpoint gets the requests anyway, and whether it answers them says more than a check.
    """
    if not backend.checked or backend.health is not None:
        return backend.health if backend.checked else None
    kind = KINDS.get(backend.kind)
    if kind is None or len(backend.endpoints) < 2 or not kind.ready.demanded or kind.ready.method != "GET":
        return None
    return Health(path=kind.ready.path, status=kind.ready.status)


def compile_route(route: RouteEntry, rollout: Rollout | None) -> Route:
    """One route: the split of its open rollout's step, or its baseline alone."""
    arms = settled(route.baseline) if rollout is None else rollout.current.arms
    address = Route(
        name=route.name,
        path=route.path,
        host=route.host,
        unit=route.unit,
        capture=_captured(route, () if rollout is None else rollout.dimensions),
        admission=route.admission,
        breaker=route.breaker,
        arms=arms,
    )
    if rollout is None:
        return address
    return msgspec.structs.replace(
        address,
        salt=rollout.salt,
        rollout=rollout.id,
        stage=rollout.stage,
        preview=rollout.current.preview,
        rules=rollout.rules,
    )


def _captured(route: RouteEntry, measured: tuple[Dimension, ...]) -> Capture:
    """What routers keep: the headers that were asked for, and those that the route or its open rollout is sliced by. Raises
    InvalidInput when it is sliced by requests whose bodies are not kept: labels that come later are sliced by them too."""
    if route.capture.sample_bodies < ALL:
        read = [one.name for one in (*route.dimensions, *measured) if one.source is DimensionSource.REQUEST]
        if read:
            raise InvalidInput(
                f"route {route.name!r} is sliced by the bodies of requests ({', '.join(read)}), so it keeps all of them: "
                "remove the dimension, or keep --sample-bodies 100%"
            )
    sliced = (one.place.lower() for one in (*route.dimensions, *measured) if one.source is DimensionSource.HEADER)
    headers = tuple(dict.fromkeys((*route.capture.headers, *sliced)))
    return msgspec.structs.replace(route.capture, headers=headers) if headers != route.capture.headers else route.capture


def bereft(before: RoutingTable, after: RoutingTable) -> tuple[str, ...]:
    """The backends that some route sent requests to and now sends none, in the order of their names."""
    now = {(route.name, name) for route in after.routes for name in receiving(route)}
    return tuple(sorted({name for route in before.routes for name in receiving(route) if (route.name, name) not in now}))


def receiving(route: Route) -> set[str]:
    """The backends that get requests of the route at its own address."""
    return {arm.backend for arm in route.arms if arm.answers or arm.shown}
