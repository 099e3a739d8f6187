"""Freezes over HTTP."""

import msgspec

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.operations.freezing import NewFreeze, add_freeze, read_freezes, remove_freeze
from modelctl.freeze import Freeze


class Freezes(msgspec.Struct, frozen=True):
    """Every freeze that was not removed, from first to last."""

    items: tuple[Freeze, ...]


class Removal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why and who."""

    reason: str = ""
    actor: str = ""


async def list_freezes(call: Call) -> Freezes:
    return Freezes(await call.run(read_freezes))


async def create_freeze(call: Call) -> Freeze:
    return await call.run(add_freeze, call.body, author=call.author())


async def delete_freeze(call: Call) -> Freeze:
    return await call.run(remove_freeze, call.request.path_params["id"], author=call.author())


ENDPOINTS = (
    Endpoint(method="GET", path="/v1/freezes", handle=list_freezes, summary="List freezes", answer=Freezes),
    Endpoint(
        method="POST",
        path="/v1/freezes",
        handle=create_freeze,
        summary="Declare a time in which traffic is not moved towards a candidate",
        body=NewFreeze,
        answer=Freeze,
        status=201,
    ),
    Endpoint(
        method="POST",
        path="/v1/freezes/{id:int}:remove",
        handle=delete_freeze,
        summary="Remove a freeze",
        body=Removal,
        answer=Freeze,
    ),
)
