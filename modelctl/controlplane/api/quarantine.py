"""What could not be recorded, over HTTP: of the machine of the control plane that is asked."""

import msgspec
from starlette.concurrency import run_in_threadpool

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.api.imports import Imported, progress_of
from modelctl.controlplane.backfill.quarantine import Asked, Requeued, SetAside, find_set_aside, list_set_aside, requeue
from modelctl.controlplane.operations.importing import note_requeue
from modelctl.store.reading import Page


class QuarantineQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`limit` frames behind `cursor`, the `next` of the page before, whose reason contains `text`."""

    text: str = ""
    limit: int = 100
    cursor: str | None = None


async def list_quarantine(call: Call) -> Page[SetAside]:
    query, spools = call.query, call.plane.replayer.spools
    return await run_in_threadpool(list_set_aside, spools, text=query.text, limit=query.limit, after=query.cursor)


async def show_quarantined(call: Call) -> SetAside:
    return await run_in_threadpool(find_set_aside, call.plane.replayer.spools, call.name())


async def requeue_quarantined(call: Call) -> Requeued:
    name = f"requeue-{call.plane.chance()[:16]}"
    done = await run_in_threadpool(requeue, call.plane.replayer.spools, name, asked=call.body)
    if done.requeued:
        await call.run(note_requeue, name, requeued=done.requeued, author=call.author())
    return done


async def show_requeue(call: Call) -> Imported:
    return await call.run(progress_of, call.name(), kind="requeue-")


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/quarantine",
        handle=list_quarantine,
        summary="List what could not be recorded on this machine",
        query=QuarantineQuery,
        answer=Page[SetAside],
    ),
    Endpoint(
        method="GET",
        path="/v1/quarantine/{name:name}",
        handle=show_quarantined,
        summary="Show one record that could not be recorded",
        answer=SetAside,
    ),
    Endpoint(
        method="POST",
        path="/v1/quarantine:requeue",
        handle=requeue_quarantined,
        summary="Give records back to the recorder: each is recorded once, however often it is given back",
        body=Asked,
        answer=Requeued,
        status=202,
    ),
    Endpoint(
        method="GET",
        path="/v1/requeues/{name:name}",
        handle=show_requeue,
        summary="What became of records that were given back",
        answer=Imported,
    ),
)
