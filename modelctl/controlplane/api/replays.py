"""Replays over HTTP: begin or go on, see how far it is, stop."""

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.backfill.replayer import Pace, Progress
from modelctl.controlplane.operations.replaying import NewReplay, open_replay


async def replay(call: Call) -> Progress:
    wanted: NewReplay = call.body
    found = await call.run(open_replay, call.name(), wanted=wanted, author=call.author(), salt=call.plane.chance())
    return call.plane.replayer.start(found, Pace(rate=wanted.rate, limit=wanted.limit))


async def show_replay(call: Call) -> Progress:
    return call.plane.replayer.progress(call.request.path_params["id"])


async def stop_replay(call: Call) -> Progress:
    return await call.plane.replayer.stop(call.request.path_params["id"])


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/v1/routes/{name:name}:replay",
        handle=replay,
        summary="Send recorded requests of a route to a candidate, or go on with it",
        body=NewReplay,
        answer=Progress,
        status=202,
    ),
    Endpoint(method="GET", path="/v1/replays/{id:int}", handle=show_replay, summary="How far a replay is", answer=Progress),
    Endpoint(method="POST", path="/v1/replays/{id:int}:stop", handle=stop_replay, summary="Stop a replay", answer=Progress),
)
