"""Recorded predictions and pairs as a stream of NDJSON that can be gone on with where it broke off."""

from collections.abc import AsyncIterator

import msgspec
from sqlalchemy import Table
from starlette.responses import StreamingResponse

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.operations.exporting import Lines, export_lines
from modelctl.controlplane.operations.inspecting import read_catalog
from modelctl.store.export import TABLES, Span


class ExportQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One route; from Unix microsecond `since` on and before `until` (now, when it is left out), behind the line whose `cursor` is
    `after`."""

    route: str
    since: int = 0
    until: int = 0
    after: str = ""
    rollout: int | None = None


async def export_predictions(call: Call) -> StreamingResponse:
    return await _export(call, TABLES["predictions"])


async def export_pairs(call: Call) -> StreamingResponse:
    return await _export(call, TABLES["pairs"])


async def _export(call: Call, table: Table) -> StreamingResponse:
    query: ExportQuery = call.query
    (await call.run(read_catalog)).route(query.route)
    until = query.until or call.at
    span = Span(route=query.route, since=query.since, until=until, after=query.after, rollout=query.rollout)
    # What is wrong with the first page is a problem with a status; a later one can only break the stream off.
    first = await call.run(export_lines, table, span=span)
    return StreamingResponse(_pages(call, table, span=span, page=first), media_type="application/x-ndjson")


async def _pages(call: Call, table: Table, *, span: Span, page: Lines) -> AsyncIterator[bytes]:
    while page.lines:
        yield page.lines
        span = msgspec.structs.replace(span, after=page.last)
        page = await call.run(export_lines, table, span=span)


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/predictions:export",
        handle=export_predictions,
        summary="Stream predictions as NDJSON, the oldest first; `after` goes on behind a line's `cursor`",
        query=ExportQuery,
    ),
    Endpoint(
        method="GET",
        path="/v1/pairs:export",
        handle=export_pairs,
        summary="Stream pairs as NDJSON, in the order of their predictions' ids; `after` goes on behind a line's `cursor`",
        query=ExportQuery,
    ),
)
