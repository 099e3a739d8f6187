"""Server-sent events: that something changed, so that what is shown can be read again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.api.problems import Refused
from modelctl.controlplane.pulse import MOST, Pulse

RETRY_MS = 2_000
LIFETIME = 3_600.0
"""Seconds after which a stream ends and its reader comes back: one that only seems to read holds its place no longer."""


class EventStream(StreamingResponse):
    """A stream of events with an end."""

    def __init__(self, content: AsyncIterator[str]) -> None:
        super().__init__(content, headers={"cache-control": "no-store", "x-accel-buffering": "no"}, media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(LIFETIME):
                await super().__call__(scope, receive, send)


async def watch(call: Call) -> EventStream:
    """Begins with the present state, unless `Last-Event-ID` names it."""
    if call.plane.pulse.full:
        raise Refused(503, f"{MOST} listen already: close a page that is not looked at")
    return EventStream(_events(call.plane.pulse, call.request.headers.get("last-event-id", "")))


async def _events(pulse: Pulse, known: str) -> AsyncIterator[str]:
    with pulse.listening():
        yield f"retry: {RETRY_MS}\n\n"
        async for state in pulse.states(known):
            if state is None:
                yield ": nothing new\n\n"
            else:
                yield f"id: {state.id}\nevent: change\ndata: {msgspec.json.encode(state).decode()}\n\n"


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/watch",
        handle=watch,
        summary="Server-sent events: a `change` whenever tables, history, decisions, evidence or routers did; takes Last-Event-ID",
    ),
)
