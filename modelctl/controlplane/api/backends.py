"""Backends over HTTP."""

import msgspec
from msgspec import UNSET, UnsetType

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.asking import partial, strict
from modelctl.controlplane.compiler import checks_of
from modelctl.controlplane.fleet import Convergence
from modelctl.controlplane.operations.backends import add_backend, remove_backend
from modelctl.controlplane.operations.changing import change_backend
from modelctl.controlplane.operations.inspecting import read_catalog
from modelctl.controlplane.probing import Sample, Trial, probe
from modelctl.controlplane.whereabouts import check_reach
from modelctl.policy import Health
from modelctl.store.catalog import BackendEntry
from modelctl.traffic import Backend


class BackendView(Backend, frozen=True, kw_only=True):
    """A registered backend. `convergence` comes with an answer to a change. `created_at` is a Unix time in microseconds.

    `checks` are the health checks that routers make: those of `health`, or of its kind; null for none.
    """

    checks: Health | None
    revision: int
    created_at: int
    convergence: Convergence | UnsetType = UNSET


class Backends(msgspec.Struct, frozen=True):
    """All backends, in the order of their names."""

    items: tuple[BackendView, ...]
    next: str | None = None


async def list_backends(call: Call) -> Backends:
    catalog = await call.run(read_catalog)
    return Backends(tuple(_view(entry) for entry in catalog.backends))


async def create_backend(call: Call) -> BackendView:
    await check_reach(call.body.endpoints, call.plane.reach)
    change = await call.run(add_backend, call.body, author=call.author())
    return _view(change.subject, await call.conclude(change))


async def show_backend(call: Call) -> BackendView:
    catalog = await call.run(read_catalog)
    return _view(catalog.backend(call.name()))


async def patch_backend(call: Call) -> BackendView:
    await check_reach(call.body.endpoints or (), call.plane.reach)
    change = await call.run(change_backend, call.name(), changes=call.body, author=call.author(), revision=call.revision())
    return _view(change.subject, await call.conclude(change))


async def delete_backend(call: Call) -> BackendView:
    change = await call.run(remove_backend, call.name(), author=call.author(), revision=call.revision())
    return _view(change.subject, await call.conclude(change))


async def test_backend(call: Call) -> Trial:
    catalog = await call.run(read_catalog)
    backend = catalog.backend(call.name()).backend
    await check_reach(backend.endpoints[:1], call.plane.reach)
    return await probe(backend, call.body)


def _view(entry: BackendEntry, convergence: Convergence | UnsetType = UNSET) -> BackendView:
    spec = msgspec.structs.asdict(entry.backend)
    return BackendView(
        **spec,
        checks=checks_of(entry.backend),
        revision=entry.revision,
        created_at=entry.created_at,
        convergence=convergence,
    )


ENDPOINTS = (
    Endpoint(method="GET", path="/v1/backends", handle=list_backends, summary="List the backends", answer=Backends),
    Endpoint(
        method="POST",
        path="/v1/backends",
        handle=create_backend,
        summary="Register a backend",
        body=strict(Backend),
        answer=BackendView,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/v1/backends/{name:name}:test",
        handle=test_backend,
        summary="Send one sample to a backend and explain its answer; nothing is recorded",
        body=Sample,
        answer=Trial,
    ),
    Endpoint(method="GET", path="/v1/backends/{name:name}", handle=show_backend, summary="Show a backend", answer=BackendView),
    Endpoint(
        method="PATCH",
        path="/v1/backends/{name:name}",
        handle=patch_backend,
        summary="Change a backend: objects are merged, null is the default",
        body=partial(Backend, without=("name",)),
        answer=BackendView,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/backends/{name:name}",
        handle=delete_backend,
        summary="Remove a backend that nothing uses",
        answer=BackendView,
    ),
)
