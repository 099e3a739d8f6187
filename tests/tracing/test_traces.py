"""Spans at a collector: one for each leg, under the ids that the client and the backends know."""

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from opentelemetry.sdk.resources import Resource

from modelctl.evidence import Answer, Context, Request, Served
from modelctl.router.identity import uuid7
from modelctl.tracing.export import Tracer
from modelctl.tracing.spans import spans
from tests.acceptance.program import Program, running, until
from tests.router.model_server import ModelServer
from tests.tracing.collector import Collector, Span

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[ModelServer, ModelServer]]:
    made = ModelServer(), ModelServer()
    yield made
    for server in made:
        server.stop()


@pytest.fixture(scope="module")
def program(
    collector: Collector, servers: tuple[ModelServer, ModelServer], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """The second model is shown everything."""
    with running(tmp_path_factory.mktemp("traced"), otlp_endpoint=collector.url) as program:
        for name, server in zip(("old", "new"), servers, strict=True):
            program.modelctl("backend", "add", name, server.url).done()
        program.modelctl("route", "add", "fraud", "--path", "/fraud", "--backend", "old").done()
        program.modelctl("shadow", "fraud", "new").done()
        yield program


def ask(program: Program, path: str, **headers: str) -> None:
    httpx.post(f"http://127.0.0.1:{program.port}{path}", json={}, headers=headers, trust_env=False, timeout=20)


def legs(collector: Collector, servers: tuple[ModelServer, ModelServer], path: str) -> list[tuple[Span, list[bytes]]]:
    """The span of each leg of the request for `path`, and the parts of the traceparent that its backend got."""
    old, new = (server.last(path).one(b"traceparent").split(b"-") for server in servers)
    served = until(lambda: [span for span in collector.spans if span.id == old[2].decode()], what="the client's leg")
    copy = until(lambda: [span for span in collector.spans if span.id == new[2].decode()], what="the copy's leg")
    return [(served[0], old), (copy[0], new)]


def test_each_leg_has_the_ids_that_its_backend_saw_below_the_clients_span(
    program: Program, collector: Collector, servers: tuple[ModelServer, ModelServer]
) -> None:
    ask(program, "/fraud/parent", traceparent=f"00-{TRACE}-{PARENT}-01")
    (served, asked), (copy, shown) = legs(collector, servers, "/fraud/parent")
    assert [part[1].decode() for part in (asked, shown)] == [TRACE, TRACE] == [served.trace, copy.trace]
    assert served.id != copy.id
    assert (served.parent, served.links) == (PARENT, ())
    assert (copy.parent, copy.links) == (served.id, (served.id,))
    assert (served.name, copy.name) == ("POST fraud", "POST fraud")
    assert [leg.attributes["modelctl.arm"] for leg in (served, copy)] == ["old", "new"]
    assert [leg.attributes["modelctl.shadow"] for leg in (served, copy)] == [False, True]
    assert [leg.attributes["http.response.status_code"] for leg in (served, copy)] == [200, 200]
    assert served.took > 0
    assert served.service == "modelctl"


def test_a_request_without_a_trace_begins_one_under_its_own_id(
    program: Program, collector: Collector, servers: tuple[ModelServer, ModelServer]
) -> None:
    ask(program, "/fraud/root")
    (served, asked), (copy, shown) = legs(collector, servers, "/fraud/root")
    assert {served.trace, copy.trace} == {asked[1].decode(), shown[1].decode()} == {served.attributes["modelctl.prediction_id"]}
    assert served.parent == ""


def test_a_trace_that_the_client_does_not_sample_is_not_sent(
    program: Program, collector: Collector, servers: tuple[ModelServer, ModelServer]
) -> None:
    other = TRACE[::-1]
    ask(program, "/fraud/unsampled", traceparent=f"00-{other}-{PARENT}-00")
    ask(program, "/fraud/after")
    legs(collector, servers, "/fraud/after")
    assert other not in {span.trace for span in collector.spans}
    assert servers[0].last("/fraud/unsampled").one(b"traceparent").endswith(b"-00")


def record(number: int = 0, *, at: int = 0, status: int = 200) -> Served:
    at = at or time.time_ns() // 1000
    context = Context("fraud", 0, 0, 1, "baseline", "only", 10_000, b"")
    asked = Request(b"POST", b"/fraud", b"", b"", b"", 0)
    id_ = uuid7(at, random.Random(number).getrandbits)
    return Served(id_, b"r", at, context, asked, Answer("old", status, "", 5, 1, b"", b"", b"", 0))


def test_a_share_of_all_traces_is_chosen_by_their_ids() -> None:
    resource = Resource.create({})
    records = [record(number) for number in range(4_000)]
    few = [one.id for one in records if list(spans(one, resource, ratio=0.1))]
    more = [one.id for one in records if list(spans(one, resource, ratio=0.3))]
    assert 300 < len(few) < 500
    assert 1_000 < len(more) < 1_400
    assert set(few) <= set(more)
    assert not [one for one in records if list(spans(one, resource, ratio=0.0))]


@pytest.mark.parametrize("left", [b"", b"[redacted]", b"00-x-y-01", f"00-{TRACE}-{PARENT}".encode(), b"\xff" * 55])
def test_a_recorded_traceparent_that_is_none_begins_a_trace_under_the_requests_id(left: bytes) -> None:
    one = record()
    asked = msgspec.structs.replace(one.request, headers=((b"traceparent", left),))
    (span,) = spans(msgspec.structs.replace(one, request=asked), Resource.create({}), ratio=1.0)
    assert (span.context and span.context.trace_id.to_bytes(16), span.parent) == (one.id, None)


def test_what_a_collector_does_not_take_is_counted_and_said_once() -> None:
    collector, said = Collector(), list[tuple[str, dict[str, object]]]()
    tracer = Tracer(collector.url, 1.0, log=lambda event, **facts: said.append((event, facts)))
    collector.refuses = True
    for number in range(3):
        tracer.take([record(number)])
    until(lambda: tracer.lost == 3, what="losses")
    collector.refuses = False
    tracer.take([record(7, status=500), record(8, at=1)])
    until(lambda: collector.spans, what="a span")
    tracer.close()
    collector.stop()
    assert [span.failed for span in collector.spans] == [True]
    assert [event for event, _ in said] == ["traces-lost", "traces-sent-again", "traces-ended"]
    assert said[-1][1] == {"sent": 1, "lost": 3}


def test_a_collector_that_is_too_slow_costs_spans_which_is_said() -> None:
    collector, said = Collector(), list[tuple[str, str]]()
    tracer = Tracer(collector.url, 1.0, log=lambda event, **facts: said.append((event, str(facts.get("reason", "")))), most=5)
    collector.open.clear()
    tracer.take([record(0)])
    until(lambda: collector.asked, what="a request")
    tracer.take([record(number) for number in range(1, 9)])
    assert tracer.lost == 3
    collector.open.set()
    until(lambda: len(collector.spans) == 6, what="the others")
    tracer.close()
    collector.stop()
    assert said[0] == ("traces-lost", "the collector takes them more slowly than they come")
    assert [event for event, _ in said] == ["traces-lost", "traces-sent-again", "traces-ended"]


def test_a_collector_that_is_not_there_keeps_nobody_from_recording(
    servers: tuple[ModelServer, ModelServer], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with running(tmp_path, otlp_endpoint=f"http://127.0.0.1:{port}") as program:
        program.modelctl("backend", "add", "old", servers[0].url).done()
        program.modelctl("route", "add", "fraud", "--path", "/fraud", "--backend", "old").done()
        ask(program, "/fraud/lonely")
        until(lambda: program.modelctl("predictions", "fraud", "-o", "json").done().json["items"], what="a prediction")
