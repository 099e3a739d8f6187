"""What Prometheus scrapes, and where the routers' workers send what they count."""

import asyncio

from starlette.responses import Response

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.metrics.families import Scene, families
from modelctl.controlplane.metrics.stored import read_stored
from modelctl.controlplane.metrics.text import CLASSIC, OPENMETRICS, exposition, wants_openmetrics
from modelctl.counts import Report
from modelctl.errors import StoreError
from modelctl.traffic import RoutingTable, decode_table

DATABASE_SECONDS = 2.0  # a scrape waits no longer for it: most of what it wants is not there


async def take_counts(call: Call) -> Response:
    """Adds what a worker has counted."""
    call.plane.board.totals.take(call.body, at=call.at)
    return Response(status_code=204)


async def scrape(call: Call) -> Response:
    """Every metric. Without the database those that are read from it are what they were."""
    board = call.plane.board
    fresh = await _read_store(call)
    table = call.plane.fleet.table
    if table.version != board.table.version:
        board.table = decode_table(table.body) if table.body else RoutingTable(version=table.version)
    scene = Scene(board.totals, board.table, call.plane.fleet.workers(), stored=board.stored, fresh=fresh, now=call.at)
    openmetrics = wants_openmetrics(call.request.headers.get("accept", ""))
    text = exposition(families(scene), openmetrics=openmetrics)
    return Response(text, headers={"content-type": OPENMETRICS if openmetrics else CLASSIC})


async def _read_store(call: Call) -> bool:
    """Whether the store has answered in time. A thread that waits for it cannot be ended, so there is only one."""
    board = call.plane.board
    if board.reading is None or board.reading.done():
        board.reading = asyncio.ensure_future(call.run(read_stored))
    answer = board.reading
    done, _ = await asyncio.wait({answer}, timeout=DATABASE_SECONDS)
    if not done:
        return False
    try:
        board.stored = answer.result()
    except StoreError:
        return False
    return True


ENDPOINTS = (
    Endpoint(method="GET", path="/metrics", handle=scrape, summary="Every number for Prometheus, in its text or as OpenMetrics"),
    Endpoint(
        method="POST",
        path="/internal/counts",
        handle=take_counts,
        summary="What a router's worker has counted since its last report",
        body=Report,
        status=204,
    ),
)
