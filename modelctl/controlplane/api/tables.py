"""How a routing table reaches the routers: a long poll that also says what the worker serves from."""

import asyncio
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.fleet import Fleet, Poll
from modelctl.errors import InvalidInput
from modelctl.store.catalog import StoredTable

HOLD = 25.0


class TableQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A worker that knows version `after` asks for a newer one, and tells what it serves from.

    `last` is when each backend was last sent a request: `backend:unix_us,...`. A worker that is `leaving` wants no table.
    """

    worker: str
    after: int = 0
    applied: int = 0
    applied_us: int = 0
    refused: int = 0
    why: str = ""
    last: str = ""
    leaving: bool = False


async def poll_table(call: Call) -> Response:
    """The newest table as soon as there is one, or 204 after HOLD seconds."""
    query = call.query
    if query.leaving:
        call.plane.fleet.left(query.worker)
        return Response(status_code=204)
    poll = Poll(
        worker=query.worker,
        after=query.after,
        applied=query.applied,
        applied_us=query.applied_us,
        refused=query.refused,
        why=query.why,
        last=parse_last(query.last),
    )
    fleet = call.plane.fleet
    fleet.opened(poll)
    try:
        table = await _newer(fleet, poll, request=call.request)
    finally:
        fleet.closed(poll)
    return Response(status_code=204) if table is None else Response(table.body, media_type="application/json")


def parse_last(text: str) -> dict[str, int]:
    """`a:1,b:2` as a dict. Raises InvalidInput."""
    found: dict[str, int] = {}
    for part in filter(None, text.split(",")):
        backend, _, moment = part.rpartition(":")
        if not backend or not moment.isdecimal() or len(moment) > 18:
            raise InvalidInput(f"`last` must be backend:unix_us,... and {part!r} is not")
        found[unquote(backend)] = int(moment)
    return found


async def _newer(fleet: Fleet, poll: Poll, *, request: Request) -> StoredTable | None:
    """None when the time is over, or the worker hung up: a worker that is gone must not count as one that will come back."""
    waiting = asyncio.ensure_future(fleet.newer(poll))
    hung_up = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({waiting, hung_up}, timeout=HOLD, return_when=asyncio.FIRST_COMPLETED)
        return waiting.result() if waiting.done() else None
    finally:
        waiting.cancel()
        hung_up.cancel()
        await asyncio.gather(waiting, hung_up, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/internal/table",
        handle=poll_table,
        summary="A routing table newer than the one a router's worker knows: long poll",
        query=TableQuery,
    ),
)
