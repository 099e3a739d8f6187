"""A span for each leg of a request, from its record: the ids are those that its backend got in `traceparent`."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from modelctl.evidence import Answer, Compared, Served, copy_span

TRACEPARENT = b"traceparent"
SCOPE = InstrumentationScope("modelctl.router")
_PARENT = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_EVERY = 1 << 56  # the last 7 bytes of a trace id are random (W3C Trace Context Level 2, 3.2.2.3), also those of a UUIDv7


class Leg(NamedTuple):
    """What a span is made of: the request, one backend's answer to it, who it is and whose child."""

    served: Served
    answer: Answer
    context: SpanContext
    parent: SpanContext | None
    links: tuple[Link, ...] = ()


def spans(record: Served | Compared, resource: Resource, *, ratio: float) -> Iterator[ReadableSpan]:
    """The span of the leg that this record is about; none where the client's trace, or by its id a share of all, is not sampled."""
    served = record if isinstance(record, Served) else record.served
    parent = _parent(served)
    trace = int(parent[3:35] or served.id.hex(), 16)
    if (parent and not int(parent[-2:], 16) & 1) or trace % _EVERY >= ratio * _EVERY:
        return
    above = _context(trace, int(parent[36:52], 16), remote=True) if parent else None
    own = _context(trace, int.from_bytes(served.id[8:]))
    if isinstance(record, Served):
        yield _span(Leg(served, served.answer, own, above), resource)
    else:
        copy = _context(trace, int.from_bytes(copy_span(served.id, record.shadow.backend)))
        yield _span(Leg(served, record.shadow, copy, own, (Link(own),)), resource)


def _parent(served: Served) -> str:
    """The client's traceparent; empty without one, and where an import or the route's redaction left something else."""
    value = next((value for name, value in served.request.headers if name == TRACEPARENT), b"")
    return value.decode() if _PARENT.fullmatch(value) else ""


def _context(trace: int, span: int, *, remote: bool = False) -> SpanContext:
    return SpanContext(trace, span, remote, TraceFlags(TraceFlags.SAMPLED))


def _span(leg: Leg, resource: Resource) -> ReadableSpan:
    served, answer = leg.served, leg.answer
    method = served.request.method.decode("latin-1")
    start = served.at * 1_000
    failed = bool(answer.failure) or answer.status >= 500
    return ReadableSpan(
        f"{method} {served.context.route}",
        leg.context,
        leg.parent,
        resource,
        _attributes(leg, method),
        links=leg.links,
        kind=SpanKind.CLIENT,
        instrumentation_scope=SCOPE,
        status=Status(StatusCode.ERROR, answer.failure or None) if failed else Status(StatusCode.UNSET),
        start_time=start,
        end_time=start + answer.latency * 1_000,
    )


def _attributes(leg: Leg, method: str) -> dict[str, str | int | bool]:
    served, answer = leg.served, leg.answer
    context = served.context
    found: dict[str, str | int | bool] = {
        "http.request.method": method,
        "http.request.body.size": served.request.size,
        "http.response.body.size": answer.size,
        "modelctl.route": context.route,
        "modelctl.arm": answer.backend,
        "modelctl.shadow": bool(leg.links),
        "modelctl.prediction_id": served.id.hex(),
        "modelctl.request_id": served.request_id.decode("latin-1"),
        "modelctl.reason": context.reason,
    }
    if answer.status:
        found["http.response.status_code"] = answer.status
    if answer.failure or answer.status >= 400:
        found["error.type"] = answer.failure or str(answer.status)
    if context.rollout:
        found |= {"modelctl.rollout": context.rollout, "modelctl.stage": context.stage}
    if served.attempts > 1 and not leg.links:
        found["http.request.resend_count"] = served.attempts - 1
    return found
