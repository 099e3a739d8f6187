"""Latched decisions over HTTP, and the evidence each was made from."""

import msgspec
from starlette.responses import Response

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.operations.inspecting import read_bundle, read_decisions
from modelctl.store.decisions import Decision


class Decisions(msgspec.Struct, frozen=True):
    """What was decided about a rollout, from first to last."""

    items: tuple[Decision, ...]


async def list_decisions(call: Call) -> Decisions:
    return Decisions(await call.run(read_decisions, call.request.path_params["id"]))


async def show_bundle(call: Call) -> Response:
    bundle = await call.run(read_bundle, call.request.path_params["id"])
    return Response(bundle, media_type="application/json")


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/rollouts/{id:int}/decisions",
        handle=list_decisions,
        summary="What was decided about a rollout, and when it was first so",
        answer=Decisions,
    ),
    Endpoint(
        method="GET",
        path="/v1/decisions/{id:int}/bundle",
        handle=show_bundle,
        summary="All that a decision was made from, to be recomputed by anyone",
    ),
)
