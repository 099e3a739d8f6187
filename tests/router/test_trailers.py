"""Trailers: what stands behind a body is dropped, but for what a client asked for and may safely have."""

import socket

import pytest

from modelctl.router.trailers import ALLOWED, MAX_TRAILERS
from tests.router.model_server import ModelServer, close, pause
from tests.router.process import RouterProcess
from tests.router.wire import Client, Incomplete, chunked, get, ok

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\r\n"
ASKS = ("TE: trailers",)


def behind_body(client: Client, *fields: str, target: str = "/trailers") -> bytes:
    """What the router sends from the last chunk on."""
    client.send(get(target, *fields))
    got = b""
    while b"\r\n0\r\n" not in got or not got.endswith(b"\r\n\r\n"):
        data = client.socket.recv(65_536)
        assert data, f"the connection ended after {got!r}"
        got += data
    return got.partition(b"\r\n0\r\n")[2]


def answer(*trailers: bytes) -> bytes:
    """Two chunks and what stands behind them."""
    return HEAD + b"2\r\nab\r\n1\r\nc\r\n0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"


def test_trailers_are_dropped_for_who_does_not_ask(router: RouterProcess, old: ModelServer) -> None:
    old.on("/trailers", answer(b"Grpc-Status: 0"))
    with router.client() as client:
        assert behind_body(client) == b"\r\n"
    assert old.last("/trailers").all(b"te") == []


def test_trailers_reach_who_asks_and_the_server_knows(router: RouterProcess, old: ModelServer) -> None:
    old.on("/trailers", answer(b"Grpc-Status: 0", b"grpc-message: fine", b'Server-Timing: model;dur="5"'))
    with router.client() as client:
        expected = b'Grpc-Status: 0\r\ngrpc-message: fine\r\nServer-Timing: model;dur="5"\r\n\r\n'
        assert behind_body(client, *ASKS) == expected
        assert client.ask(get("/after")).status == 200
    arrival = old.last("/trailers")
    assert (arrival.one(b"te"), arrival.one(b"connection")) == (b"trailers", b"te")
    assert old.last("/after").connection == arrival.connection


@pytest.mark.parametrize("field", ["TE: trailers", "te: gzip;q=0.5 , Trailers", "TE: trailers\r\nConnection: TE"])
def test_a_client_asks_in_the_te_field(router: RouterProcess, old: ModelServer, field: str) -> None:
    old.on("/trailers", answer(b"ETag: x"))
    with router.client() as client:
        assert behind_body(client, field) == b"ETag: x\r\n\r\n"


@pytest.mark.parametrize("field", ["TE: gzip", "TE: trailersx", "X-TE: trailers", "TE:"])
def test_a_client_that_names_something_else_does_not_ask(router: RouterProcess, old: ModelServer, field: str) -> None:
    old.on("/trailers", answer(b"ETag: x"))
    with router.client() as client:
        assert behind_body(client, field) == b"\r\n"


FORBIDDEN = (
    b"Host: evil",
    b"Authorization: Bearer x",
    b"Set-Cookie: a=b",
    b"Connection: close",
    b"Trailer: x",
    b"X-Request-Id: theirs",
    b"modelctl-arm: theirs",
    b"modelctl-error: no-route",
    b"Content-Type: text/html",
    b"X-Anything: 1",
)


def test_only_names_that_mean_something_behind_a_body_are_passed_on(router: RouterProcess, old: ModelServer) -> None:
    old.on("/trailers", answer(*FORBIDDEN, *[name + b": 1" for name in sorted(ALLOWED)]))
    with router.client() as client:
        lines = behind_body(client, *ASKS).split(b"\r\n")
        assert client.ask(get("/after")).status == 200
    assert lines == [*[name + b": 1" for name in sorted(ALLOWED)], b"", b""]


def test_trailers_are_read_only_for_the_answer_they_were_asked_for(router: RouterProcess, old: ModelServer) -> None:
    old.on("/trailers", answer(b"ETag: x"))
    with router.client() as client:
        found = [behind_body(client, *fields) for fields in (ASKS, (), ASKS, ())]
    assert found == [b"ETag: x\r\n\r\n", b"\r\n"] * 2
    assert len({arrival.connection for arrival in old.arrivals}) == 1


def test_trailers_that_come_byte_by_byte_are_the_same(router: RouterProcess, old: ModelServer) -> None:
    def step(connection: socket.socket) -> None:
        for byte in answer(b"ETag: x", b"Digest: y")[len(HEAD) :]:
            connection.sendall(bytes([byte]))
            pause(0.002)(connection)

    old.on("/trailers", HEAD, step)
    with router.client() as client:
        assert behind_body(client, *ASKS) == b"ETag: x\r\nDigest: y\r\n\r\n"


def test_requests_with_one_head_that_asks_all_get_theirs(router: RouterProcess, old: ModelServer) -> None:
    old.on("/trailers", answer(b"ETag: x"))
    with router.client() as client:
        assert [behind_body(client, *ASKS) for _ in range(4)] == [b"ETag: x\r\n\r\n"] * 4
    assert {arrival.one(b"te") for arrival in old.got("/trailers", 4)} == {b"trailers"}


@pytest.mark.parametrize("fields", [(), ASKS])
def test_an_answer_of_known_length_has_none(router: RouterProcess, old: ModelServer, fields: tuple[str, ...]) -> None:
    old.on("/length", ok(b"body"))
    old.on("/no-body", b"HTTP/1.1 204 No Content\r\n\r\n")
    with router.client() as client:
        for target, body in (("/length", b"body"), ("/no-body", b""), ("/length", b"body")):
            assert client.ask(get(target, *fields)).body == body
        assert client.ask(get("/length", *fields, method="HEAD")).one(b"content-length") == b"4"
        assert client.ask(get("/after")).status == 200
    assert len({arrival.connection for arrival in old.arrivals}) <= 2  # llhttp cannot go on behind an answer to HEAD


def test_a_client_of_http_1_0_gets_none(router: RouterProcess, old: ModelServer) -> None:
    old.on("/trailers", answer(b"ETag: x"))
    with router.client() as client:
        client.send(b"GET /trailers HTTP/1.0\r\nHost: a\r\nTE: trailers\r\n\r\n")
        assert client.rest().endswith(b"\r\n\r\nabc")
    assert old.last("/trailers").all(b"te") == []


ENDLESS = {
    "many": [b"ETag: x\r\n" * 1_000] * 40,
    "one name": [b"x" * 10_000] * 40,
    "one value": [b"etag: ", *[b"x" * 10_000] * 40],
}


@pytest.mark.parametrize("name", ENDLESS)
def test_trailers_without_end_are_a_cut_answer(router: RouterProcess, old: ModelServer, request_id: str, name: str) -> None:
    pieces = [step for piece in ENDLESS[name] for step in (piece, pause(0.005))]
    old.on("/trailers", HEAD + b"1\r\na\r\n0\r\n", *pieces)
    with router.client() as client:
        client.send(get("/trailers", *ASKS, f"X-Request-Id: {request_id}"))
        with pytest.raises(Incomplete):
            client.read()
    assert router.served(request_id).answer.failure == "truncated"
    assert sum(map(len, ENDLESS[name])) > 10 * MAX_TRAILERS


def test_a_body_much_longer_than_trailers_may_be_is_no_trailer(router: RouterProcess, old: ModelServer) -> None:
    body = [b"x" * 50_000] * 20
    old.on("/trailers", HEAD + chunked(*body)[:-2] + b"ETag: x\r\n\r\n")
    with router.client() as client:
        assert behind_body(client, *ASKS) == b"ETag: x\r\n\r\n"


def test_an_answer_cut_inside_its_trailers_is_a_cut_answer(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/trailers", HEAD + b"1\r\na\r\n0\r\nETag: x\r\n", pause(0.1), close)
    with router.client() as client:
        client.send(get("/trailers", *ASKS, f"X-Request-Id: {request_id}"))
        with pytest.raises(Incomplete):
            client.read()
    assert router.served(request_id).answer.failure == "truncated"


def test_trailers_of_a_request_are_dropped_and_never_taken_for_fields(router: RouterProcess, old: ModelServer) -> None:
    trailers = b"Host: evil\r\nAuthorization: x\r\nX-Request-Id: evil\r\nExpect: 100-continue\r\nETag: x\r\n\r\n"
    with router.client() as client:
        client.send(get("/request", "Transfer-Encoding: chunked", *ASKS, method="POST") + b"2\r\n{}\r\n0\r\n" + trailers)
        assert client.read(b"POST").one(b"x-request-id") != b"evil"
        assert client.ask(get("/after")).status == 200
    arrival = old.last("/request")
    assert arrival.body == b"{}"
    assert arrival.raw.endswith(b"0\r\n\r\n")
    assert (arrival.one(b"host"), arrival.all(b"authorization"), arrival.all(b"etag")) == (b"models.example", [], [])


@pytest.mark.parametrize("trailer", [b"Content-Length: 2", b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip"])
def test_a_request_whose_trailers_speak_of_framing_is_never_completed_at_the_server(
    router: RouterProcess, old: ModelServer, trailer: bytes
) -> None:
    request = get("/framing", "Transfer-Encoding: chunked", method="POST") + b"2\r\n{}\r\n0\r\n"
    with router.client() as client:
        client.send(request)
        pause(0.1)(client.socket)
        client.send(trailer + b"\r\n\r\n" + get("/smuggled"))
        reply = client.read(b"POST")
    targets = [arrival.target for arrival in old.arrivals if arrival.complete]
    assert (reply.status, targets) in [(400, []), (200, [b"/framing"])]


def test_a_shown_arm_is_asked_alike_and_its_trailers_are_dropped(
    router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str
) -> None:
    old.on("/shown", answer(b"ETag: old"))
    new.on("/shown", answer(b"ETag: new"))
    with router.client() as client:
        assert behind_body(client, *ASKS, f"X-Request-Id: {request_id}", target="/shown") == b"ETag: old\r\n\r\n"
    (compared,) = router.compared(request_id)
    assert (compared.shadow.body, compared.shadow.failure) == (b"abc", "")
