"""What is promised about the data port and about streams that no other test holds."""

from pathlib import Path
from time import monotonic, sleep

import pytest

from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, pause
from tests.router.process import RouterProcess, eventually
from tests.router.test_admission import Start
from tests.router.wire import chunked, get, ok, post

CONTROL = ["/metrics", "/admin", "/healthz", "/livez", "/readyz", "/openapi.json", "/v1/status", "/internal/table", "/"]
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SECRETS = {
    "Authorization": "Bearer secret-of-a-client",
    "Cookie": "session=secret-cookie",
    "X-Api-Key": "secret-api-key",
    "Api-Key": "secret-other-key",
    "Proxy-Authorization": "Basic c2VjcmV0LXByb3h5",
}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_of_the_control_plane_is_reached_at_the_data_port(start: Start, old: ModelServer, method: str) -> None:
    route = Route(name="one", path="/one", arms=(baseline("old"),))
    router = start(RoutingTable(version=1, backends=(Backend(name="old", endpoints=(old.url,)),), routes=(route,)))
    with router.client() as client:
        for path in CONTROL:
            reply = client.ask(get(path, method=method))
            assert (reply.status, reply.one(b"modelctl-error")) == (404, b"no-route")
    assert old.arrivals == []


@pytest.mark.parametrize("path", CONTROL)
def test_a_route_for_everything_is_a_route_for_those_paths_too(router: RouterProcess, old: ModelServer, path: str) -> None:
    assert router.ask(get(path)).one(b"modelctl-arm") == b"old"
    assert old.last(path).target == path.encode()


def test_no_secret_of_a_head_is_written_down(start: Start, old: ModelServer, shared_table: RoutingTable) -> None:
    router = start(shared_table)
    old.on("/shown", ok(b"{}", "Set-Cookie: id=secret-of-a-server"))
    fields = [f"{name}: {value}" for name, value in SECRETS.items()]
    assert router.ask(post("/shown", b"{}", *fields, "X-Request-Id: told")).all(b"set-cookie") == [b"id=secret-of-a-server"]
    assert old.last("/shown").one(b"cookie") == SECRETS["Cookie"].encode()
    router.compared("told")
    router.ask(get("/bad path", *fields))
    assert router.stop() == 0
    written = {path.name: path.read_bytes() for path in Path(router.folder).rglob("*") if path.is_file()}
    assert any(b"told" in data for data in written.values())
    for secret in ("secret", "c2VjcmV0"):
        assert [name for name, data in written.items() if secret.encode() in data] == []


def test_a_stream_with_gaps_longer_than_the_time_for_an_answer_is_not_cut(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    events = [b"data: %d\n\n" % number for number in range(4)]
    steps = [step for event in events for step in (b"%x\r\n%b\r\n" % (len(event), event), pause(0.5))]
    old.on("/impatient/gaps", EVENTS, *steps, b"0\r\n\r\n")
    assert router.ask(get("/impatient/gaps", f"X-Request-Id: {request_id}")).body == b"".join(events)
    assert router.served(request_id).answer.failure == ""


def test_what_is_too_large_to_show_streams_to_the_baseline_as_it_comes(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    piece = b"x" * 100_000
    with router.client() as client:
        client.send(get("/shown/large", "Transfer-Encoding: chunked", f"X-Request-Id: {request_id}", method="POST"))
        client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        assert eventually(lambda: bool(old.arrivals) and len(old.arrivals[0].raw) > len(piece))
        client.send(chunked(*[piece] * 20))
        assert client.read(b"POST").status == 200
    assert old.last("/shown/large").body == piece * 21
    assert router.served(request_id).shown == (("new", "too-large"),)
    assert new.arrivals == []


def test_bytes_of_every_value_are_recorded_as_they_were(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    every = bytes(range(256)) * 4
    old.on("/binary", ok(every[::-1], "Content-Type: application/octet-stream"))
    assert router.ask(post("/binary", every, "Content-Type: image/x-odd", f"X-Request-Id: {request_id}")).body == every[::-1]
    served = router.served(request_id)
    assert (served.request.body, served.request.size, served.request.content_type) == (every, 1_024, b"image/x-odd")
    assert (served.answer.body, served.answer.size, served.answer.content_type) == (every[::-1], 1_024, b"application/octet-stream")
    assert 0 < served.answer.first_byte <= served.answer.latency


@pytest.mark.slow
def test_a_thousand_streams_at_once_all_bring_every_event(start: Start, old: ModelServer, shared_table: RoutingTable) -> None:
    events = [b"data: %d\n\n" % number for number in range(50)]
    steps = [step for event in events for step in (b"%x\r\n%b\r\n" % (len(event), event), pause(0.1))]
    old.on("/events", EVENTS, *steps, b"0\r\n\r\n")
    backend = Backend(name="old", endpoints=(old.url,), max_inflight=2_000)
    table = RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))
    router = start(table, idle_timeout="60")
    clients = []
    for _ in range(1_000):
        clients.append(router.client())
        clients[-1].socket.settimeout(60)
        clients[-1].send(get("/events"))
        sleep(0.002)
    started, before = monotonic(), router.cpu
    assert {client.read().body for client in clients} == {b"".join(events)}
    print(f"{(router.cpu - before) / (monotonic() - started):.0%} of a processor")
    for client in clients:
        client.socket.close()
