"""Interim answers: early hints reach clients that can take them, the others nobody, and none stands for an answer."""

import pytest

from modelctl.router.interim import MAX_INTERIM
from modelctl.router.refusal import Refusal
from tests.router.model_server import ModelServer, close, pause
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Client, get, ok, ok_chunked, post

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"


def everything(client: Client, end: bytes) -> bytes:
    """What the client gets up to and with `end`."""
    got = b""
    while not got.endswith(end):
        data = client.socket.recv(65_536)
        assert data, f"the connection ended after {got!r}"
        got += data
    return got


def test_early_hints_reach_the_client_before_the_answer(router: RouterProcess, old: ModelServer) -> None:
    old.on("/hints", HINTS, pause(0.2), b"HTTP/1.1 103 Early Hints\r\nLink: </b.js>\r\n\r\n" + ok(b"final", "Server: m"))
    with router.client() as client:
        client.send(get("/hints"))
        assert everything(client, b"\r\n\r\n") == HINTS
        rest = everything(client, b"final")
        assert rest.startswith(b"HTTP/1.1 103 Early Hints\r\nLink: </b.js>\r\n\r\nHTTP/1.1 200 OK\r\nServer: m\r\n")
        assert client.ask(get("/after")).status == 200
    assert len({arrival.connection for arrival in old.arrivals}) == 1


def test_fields_of_one_hop_and_ours_are_dropped_from_hints(router: RouterProcess, old: ModelServer) -> None:
    fields = b"Connection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nmodelctl-arm: x\r\nX-Request-Id: x\r\n"
    framing = b"Content-Length: 0\r\nTrailer: X\r\nUpgrade: h2c\r\n"
    old.on("/hints", b"HTTP/1.1 103 Whatever\r\n" + fields + framing + b"Link: </a>\r\nX-Kept: 1\r\n\r\n" + ok(b"final"))
    with router.client() as client:
        client.send(get("/hints"))
        hints, _, _ = everything(client, b"final").partition(b"\r\n\r\n")
    assert hints == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nX-Kept: 1"


def test_hints_that_come_in_pieces_are_hints(router: RouterProcess, old: ModelServer) -> None:
    old.on("/hints", HINTS[:10], pause(0.05), HINTS[10:40], pause(0.05), HINTS[40:] + b"HTT", pause(0.05), ok(b"final")[3:])
    with router.client() as client:
        client.send(get("/hints"))
        got = everything(client, b"final")
    assert got.startswith(HINTS + b"HTTP/1.1 200 OK\r\n")


def test_a_client_of_http_1_0_gets_no_interim_answer(router: RouterProcess, old: ModelServer) -> None:
    old.on("/hints", HINTS, pause(0.05), HINTS + ok(b"final"))
    with router.client() as client:
        client.send(b"GET /hints HTTP/1.0\r\nHost: a\r\n\r\n")
        got = client.rest()
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Link" not in got


@pytest.mark.parametrize("status", [100, 102, 104, 150, 199])
def test_other_interim_answers_are_swallowed(router: RouterProcess, old: ModelServer, status: int) -> None:
    interim = b"HTTP/1.1 %d Something\r\nX-Interim: 1\r\nContent-Length: 0\r\n\r\n" % status
    old.on("/interim", interim, pause(0.05), interim + ok_chunked(b"final"))
    with router.client() as client:
        reply = client.ask(get("/interim"))
        assert (reply.status, reply.body, reply.all(b"x-interim")) == (200, b"final", [])
        assert client.ask(get("/after")).status == 200
    assert len({arrival.connection for arrival in old.arrivals}) == 1


def test_hints_keep_the_order_of_pipelined_requests(router: RouterProcess, old: ModelServer) -> None:
    old.on("/one", pause(0.1), ok(b"first"))
    old.on("/two", HINTS + ok(b"second"))
    with router.client() as client:
        client.send(get("/one") + get("/two"))
        got = everything(client, b"second")
    assert got.index(b"first") < got.index(b"103 Early Hints") < got.index(b"second")


def test_hints_may_come_while_the_request_is_still_sent(router: RouterProcess, old: ModelServer) -> None:
    old.on("/upload", HINTS, early=True)
    request = post("/upload", b"0123456789")
    with router.client() as client:
        client.send(request[:-5])
        assert everything(client, b"\r\n\r\n") == HINTS
        client.send(request[-5:])
        assert eventually(lambda: old.arrivals[0].complete)
    assert old.last("/upload").body == b"0123456789"


NO_ANSWERS = {
    "only hints": (HINTS, close),
    "only hints, then half a head": (HINTS + b"HTTP/1.1 200", close),
    "only others": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", close),
}


@pytest.mark.parametrize("name", NO_ANSWERS)
def test_a_server_that_says_only_interim_things_is_a_bad_gateway(router: RouterProcess, old: ModelServer, name: str) -> None:
    old.on("/interim", *NO_ANSWERS[name])
    with router.client() as client:
        client.send(get("/interim") + get("/after"))
        assert (client.read().status, client.read().status) == (502, 200)


FAULTS = {
    "too many": b"HTTP/1.1 102 Processing\r\n\r\n" * (MAX_INTERIM + 1) + ok(),
    "too many hints": HINTS * (MAX_INTERIM + 1) + ok(),
    "too large": b"HTTP/1.1 103 Early Hints\r\nLink: " + b"x" * 70_000 + b"\r\n\r\n" + ok(),
    "too large together": (b"HTTP/1.1 102 P\r\nX: " + b"x" * 6_000 + b"\r\n\r\n") * 12 + ok(),
    "a length": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 4\r\n\r\n" + ok(),
    "a length beyond 103": b"HTTP/1.1 104 What\r\nContent-Length: 38\r\n\r\n" + ok(),
    "a coding": b"HTTP/1.1 199 What\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + ok(),
    "no status of HTTP": b"HTTP/1.1 099 What\r\n\r\n" + ok(),
}


@pytest.mark.parametrize("name", FAULTS)
def test_interim_answers_that_are_wrong_are_a_bad_gateway(
    router: RouterProcess, old: ModelServer, request_id: str, name: str
) -> None:
    old.on("/interim", FAULTS[name], pause(0.3), close)
    with router.client() as client:
        reply = client.ask(get("/interim", f"X-Request-Id: {request_id}"))
        assert (reply.status, reply.one(b"modelctl-error")) == (502, Refusal.INVALID.code.encode())
        assert client.ask(get("/after")).status == 200
    assert router.served(request_id).answer.failure == "invalid"


def test_as_many_as_are_allowed_are_allowed_for_each_answer(router: RouterProcess, old: ModelServer) -> None:
    old.on("/interim", b"HTTP/1.1 102 Processing\r\n\r\n" * MAX_INTERIM + ok(b"final"))
    with router.client() as client:
        assert [client.ask(get("/interim")).body for _ in range(3)] == [b"final"] * 3
    assert len({arrival.connection for arrival in old.arrivals}) == 1


def test_a_shown_arm_may_hint_too_and_nobody_sees_it(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    new.on("/shown", HINTS, pause(0.05), ok(b"shadow"))
    reply = router.ask(get("/shown", f"X-Request-Id: {request_id}"))
    assert (reply.status, reply.all(b"link")) == (200, [])
    (compared,) = router.compared(request_id)
    assert (compared.shadow.status, compared.shadow.body) == (200, b"shadow")


def test_what_follows_a_complete_answer_costs_the_connection_and_not_the_answer(router: RouterProcess, old: ModelServer) -> None:
    old.on("/more", ok(b"whole") + b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    old.on("/garbage", ok_chunked(b"whole") + b"SSH-2.0\r\n")
    with router.client() as client:
        for path in ("/more", "/garbage"):
            assert client.ask(get(path)).body == b"whole"
        assert client.ask(get("/after")).status == 200
    assert len({arrival.connection for arrival in old.arrivals}) == 3
