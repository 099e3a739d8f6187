"""Model servers that are dead, silent, broken or too busy: what the client is told, and what is written down about it."""

import threading
from time import monotonic, sleep

import pytest

from modelctl.router.refusal import Refusal
from tests.router.model_server import ModelServer, Step, close, pause, reset, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.test_refusals import explained
from tests.router.wire import Client, Incomplete, get, ok, post


def test_a_dead_server_is_a_bad_gateway(router: RouterProcess, request_id: str) -> None:
    with router.client() as client:
        explained(client.ask(post("/dead", b"{}", f"X-Request-Id: {request_id}")), Refusal.CONNECT)
        assert client.ask(get("/after")).status == 200
    answer = router.served(request_id).answer
    assert (answer.backend, answer.failure, answer.status, answer.first_byte) == ("dead", "connect", 0, 0)


def test_a_dead_endpoint_is_passed_over(router: RouterProcess, old: ModelServer) -> None:
    assert {router.ask(post("/half-dead", b"{}")).status for _ in range(20)} == {200}
    assert len(old.got("/half-dead", 20)) == 20


@pytest.mark.parametrize("step", [close, reset], ids=["orderly", "reset"])
def test_a_server_that_leaves_without_an_answer_is_a_bad_gateway(
    router: RouterProcess, old: ModelServer, request_id: str, step: Step
) -> None:
    old.on("/leaves", step)
    with router.client() as client:
        explained(client.ask(post("/leaves", b"{}", f"X-Request-Id: {request_id}")), Refusal.RESET)
        assert client.ask(get("/after")).status == 200
    assert len(old.got("/leaves")) == 1
    assert router.served(request_id).answer.failure == "reset"


def test_a_server_that_leaves_after_half_a_head_is_a_bad_gateway(router: RouterProcess, old: ModelServer) -> None:
    old.on("/half-head", b"HTTP/1.1 200 OK\r\nContent-Le", close)
    explained(router.ask(get("/half-head")), Refusal.RESET)


def test_a_server_that_says_only_that_it_goes_on_is_a_bad_gateway(router: RouterProcess, old: ModelServer) -> None:
    old.on("/interim", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n", close)
    explained(router.ask(get("/interim")), Refusal.RESET)


def test_a_silent_server_is_a_gateway_timeout_and_its_connection_is_closed(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    old.on("/impatient", until_left)
    with router.client() as client:
        reply = client.ask(get("/impatient", f"X-Request-Id: {request_id}"))
        explained(reply, Refusal.TIMEOUT)
        assert 0.2 < reply.seconds < 1.0
        assert client.ask(get("/after")).status == 200
    assert eventually(lambda: old.last("/impatient").left_at > 0)
    answer = router.served(request_id).answer
    assert answer.failure == "timeout"
    assert 200_000 < answer.latency < 1_000_000


GARBAGE = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.0\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "folded field": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\r\n 2\r\n\r\nok",
    "space in a name": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX A: 1\r\n\r\nok",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: 1\x00\r\n\r\nok",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nxx",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "codings in two fields": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "protocol nobody asked for": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "head without end": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 300_000,
    "head too large": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + b"X-Pad: 0123456789012345678901\r\n" * 4_000 + b"\r\nok",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_an_answer_that_is_not_http_is_a_bad_gateway(router: RouterProcess, old: ModelServer, request_id: str, name: str) -> None:
    old.on("/garbage", GARBAGE[name], pause(0.3), close)
    with router.client() as client:
        explained(client.ask(get("/garbage", f"X-Request-Id: {request_id}")), Refusal.INVALID)
        assert client.ask(get("/after")).status == 200
    assert old.last("/after").connection != old.last("/garbage").connection
    answer = router.served(request_id).answer
    assert (answer.failure, answer.status) == ("invalid", 0)


@pytest.mark.parametrize("odd", [b"\r", b"\n", b"\n\r\n", b"\r\n\r", b"\r\n\n", b"\r\r\n"])
def test_a_bare_line_end_before_an_answer_is_not_http(router: RouterProcess, old: ModelServer, odd: bytes) -> None:
    old.on("/bare", odd + ok(b"smuggled"))
    assert router.ask(get("/bare")).one(b"modelctl-error") == b"upstream-invalid"


def test_blank_lines_before_an_answer_are_skipped(router: RouterProcess, old: ModelServer) -> None:
    old.on("/blank", b"\r\n\r\n" + ok(b"after all", "X-Field: 1"))
    reply = router.ask(get("/blank"))
    assert (reply.status, reply.body, reply.one(b"x-field")) == (200, b"after all", b"1")


TRUNCATED = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", close),
    "length, reset": (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this", pause(0.05), reset),
    "chunks": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", close),
    "inside a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nonly this", close),
    "bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", pause(0.05), b"zz\r\n", until_left),
    "until closed, reset": (b"HTTP/1.1 200 OK\r\n\r\nonly this", pause(0.05), reset),
}


@pytest.mark.parametrize("name", TRUNCATED)
def test_a_truncated_answer_never_looks_whole(router: RouterProcess, old: ModelServer, request_id: str, name: str) -> None:
    old.on("/truncated", *TRUNCATED[name])
    with router.client() as client, pytest.raises(Incomplete):
        client.ask(get("/truncated", f"X-Request-Id: {request_id}"))
    answer = router.served(request_id).answer
    assert (answer.failure, answer.status, answer.body) == ("truncated", 200, b"only this")


def test_a_truncated_answer_does_not_look_whole_to_an_http_1_0_client_either(router: RouterProcess, old: ModelServer) -> None:
    old.on("/truncated", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n", pause(0.1), close)
    with router.client() as client:
        client.send(b"GET /truncated HTTP/1.0\r\nHost: a\r\n\r\n")
        with pytest.raises(ConnectionError):
            client.drain()


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        for _ in range(5):
            assert client.ask(post("/stale", b"{}")).status == 200
            old.close_connections()
            sleep(0.03)
    assert len(old.got("/stale", 5)) == 5


def _asks(router: RouterProcess, target: str) -> Client:
    client = router.client()
    client.send(get(target))
    return client


def test_more_requests_than_a_server_may_have_in_flight_and_waiting_are_refused(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    go = threading.Event()
    old.on("/narrow", wait(go), ok(b"done"))
    with _asks(router, "/narrow/1") as first:
        assert eventually(lambda: len(old.arrivals) == 1)
        with _asks(router, "/narrow/2") as second:
            sleep(0.05)
            refused = router.ask(get("/narrow/3", f"X-Request-Id: {request_id}"))
            explained(refused, Refusal.OVERLOAD)
            assert refused.one(b"retry-after") == b"1"
            assert refused.seconds < 0.2
            assert len(old.arrivals) == 1
            go.set()
            assert first.read().body == second.read().body == b"done"
    assert router.served(request_id).answer.failure == "overload"
    assert router.ask(get("/narrow/4")).status == 200


def test_a_request_waits_for_room_no_longer_than_for_an_answer(router: RouterProcess, old: ModelServer) -> None:
    go = threading.Event()
    old.on("/queued", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo", wait(go), b"ne")
    with _asks(router, "/queued/1") as first:
        assert eventually(lambda: len(old.arrivals) == 1)
        refused = router.ask(get("/queued/2"))
        explained(refused, Refusal.OVERLOAD)
        assert 0.15 <= refused.seconds < 1.0  # the clock of deadlines ticks ten times a second
        go.set()
        assert first.read().body == b"done"
    assert router.ask(get("/queued/3")).status == 200


def test_a_waiting_client_that_leaves_makes_room(router: RouterProcess, old: ModelServer) -> None:
    go = threading.Event()
    old.on("/narrow", wait(go), ok(b"done"))
    with _asks(router, "/narrow/1") as first:
        assert eventually(lambda: len(old.arrivals) == 1)
        _asks(router, "/narrow/2").reset()
        sleep(0.1)
        with _asks(router, "/narrow/3") as third:
            sleep(0.05)
            go.set()
            assert first.read().body == third.read().body == b"done"
    assert [arrival.target for arrival in old.arrivals] == [b"/narrow/1", b"/narrow/3"]


def test_a_client_that_leaves_before_its_answer_ends_the_request_at_the_server(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    old.on("/slow", until_left)
    client = _asks_as(router, "/slow", request_id)
    assert eventually(lambda: bool(old.arrivals))
    left = monotonic()
    client.socket.close()
    assert eventually(lambda: old.last("/slow").left_at > 0)
    assert old.last("/slow").left_at - left < 1.0
    answer = router.served(request_id).answer
    assert (answer.failure, answer.status) == ("client-gone", 0)


def test_a_client_that_resets_its_connection_ends_the_request_at_once(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    old.on("/slow", until_left)
    client = _asks_as(router, "/slow", request_id)
    assert eventually(lambda: bool(old.arrivals))
    left = monotonic()
    client.reset()
    assert eventually(lambda: old.last("/slow").left_at > 0)
    assert old.last("/slow").left_at - left < 0.3
    assert router.served(request_id).answer.failure == "client-gone"


def test_a_client_that_leaves_during_its_answer_ends_it_at_the_server(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    events = [step for _ in range(30) for step in (b"5\r\nevent\r\n", pause(0.1))]
    old.on("/stream", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *events, until_left)
    client = _asks_as(router, "/stream", request_id)
    while b"event" not in client.socket.recv(1_000):
        pass
    left = monotonic()
    client.socket.close()
    assert eventually(lambda: old.last("/stream").left_at > 0)
    assert old.last("/stream").left_at - left < 1.0
    answer = router.served(request_id).answer
    assert (answer.failure, answer.status) == ("client-gone", 200)
    assert answer.body.startswith(b"event")


def test_a_client_that_leaves_during_its_upload_ends_it_at_the_server(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    client = router.client()
    client.send(get("/upload", "Content-Length: 1000", f"X-Request-Id: {request_id}", method="POST"), b"x" * 10)
    assert eventually(lambda: bool(old.arrivals))
    client.socket.close()
    assert eventually(lambda: old.arrivals[0].left_at > 0, 1.0)
    assert not old.arrivals[0].complete
    assert router.served(request_id).answer.failure == "client-gone"


def _asks_as(router: RouterProcess, target: str, request_id: str) -> Client:
    client = router.client()
    client.send(get(target, f"X-Request-Id: {request_id}"))
    return client
