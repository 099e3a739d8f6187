"""What is not forwarded, and how the client is told."""

import json
from collections.abc import Callable
from time import sleep

import pytest

from modelctl.router.refusal import Refusal
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess
from tests.router.wire import Reply, get, post

BIG = "x" * 100_000


def explained(reply: Reply, refusal: Refusal) -> None:
    """The answer is this refusal, in every way it is told."""
    assert reply.status == refusal.status
    assert reply.one(b"modelctl-error") == refusal.code.encode()
    assert reply.one(b"content-type") == b"application/problem+json"
    problem = json.loads(reply.body)
    assert problem["type"] == f"urn:modelctl:error:{refusal.code}"
    assert problem["status"] == refusal.status
    assert problem["detail"] == refusal.detail
    assert reply.all(b"modelctl-arm") == []


REFUSED = {
    "no HTTP at all": (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", Refusal.BAD_REQUEST),
    "unknown method": (b"FROBNICATE / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
    "space in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.BAD_REQUEST),
    "length and chunks": (get("/", "Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n", Refusal.BAD_REQUEST),
    "two lengths": (get("/", "Content-Length: 3", "Content-Length: 3") + b"abc", Refusal.BAD_REQUEST),
    "list of lengths": (get("/", "Content-Length: 3, 3") + b"abc", Refusal.BAD_REQUEST),
    "signed length": (get("/", "Content-Length: +3") + b"abc", Refusal.BAD_REQUEST),
    "empty length": (get("/", "Content-Length:"), Refusal.BAD_REQUEST),
    "length beyond 64 bits": (get("/", "Content-Length: 18446744073709551617"), Refusal.BAD_REQUEST),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", Refusal.BAD_REQUEST),
    "folded field": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\n 2\r\n\r\n", Refusal.BAD_REQUEST),
    "space before the colon": (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", Refusal.BAD_REQUEST),
    "NUL in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\x002\r\n\r\n", Refusal.BAD_REQUEST),
    "bare CR in a value": (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r2\r\n\r\n", Refusal.BAD_REQUEST),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refusal.BAD_FRAMING),
    "body of GET in HTTP/1.0": (b"GET / HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", Refusal.BAD_FRAMING),
    "unknown coding": (get("/", "Transfer-Encoding: gzip, chunked", method="POST") + b"0\r\n\r\n", Refusal.CODING),
    "two codings": (
        get("/", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n",
        Refusal.CODING,
    ),
    "upgrade with a body": (
        get("/", "Connection: upgrade", "Upgrade: websocket", "Content-Length: 3", method="POST") + b"abc",
        Refusal.BAD_FRAMING,
    ),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", Refusal.BAD_HOST),
    "empty host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", Refusal.BAD_HOST),
    "two hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refusal.BAD_HOST),
    "list of hosts": (get("/", host="a, b"), Refusal.BAD_HOST),
    "host with a user": (get("/", host="user@a"), Refusal.BAD_HOST),
    "host with a path": (get("/", host="a/b"), Refusal.BAD_HOST),
    "port that is no number": (get("/", host="a:b"), Refusal.BAD_HOST),
    "absolute target without an authority": (get("http:///x"), Refusal.BAD_HOST),
    "absolute target with a user": (get("http://user@a/x"), Refusal.BAD_HOST),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refusal.VERSION),
    "HTTP/0.9": (b"GET /\r\n", Refusal.BAD_REQUEST),
    "HTTP/0.9 with an end": (b"GET /\r\n\r\n", Refusal.VERSION),
    "CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Refusal.METHOD),
    "TRACE": (get("/", method="TRACE"), Refusal.METHOD),
    "fragment": (get("/a#b"), Refusal.BAD_TARGET),
    "star without OPTIONS": (get("*"), Refusal.BAD_TARGET),
    "other scheme": (get("ftp://a/b"), Refusal.BAD_TARGET),
    "bytes beyond ASCII": (get("/caf\xe9"), Refusal.BAD_REQUEST),
    "one huge field": (get("/", f"X-Big: {BIG}"), Refusal.HEAD_TOO_LARGE),
    "huge target": (get(f"/{BIG}"), Refusal.HEAD_TOO_LARGE),
    "many fields": (get("/", *[f"X-{number}: 1" for number in range(65)]), Refusal.HEAD_TOO_LARGE),
    "announced body beyond the limit": (get("/", "Content-Length: 67108865", method="POST"), Refusal.BODY_TOO_LARGE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_request_that_must_not_be_forwarded_is_refused_and_the_connection_ends(
    router: RouterProcess, old: ModelServer, name: str
) -> None:
    request, refusal = REFUSED[name]
    with router.client() as client:
        client.send(request)
        reply = client.read()
        explained(reply, refusal)
        assert reply.one(b"connection") == b"close"
        assert client.rest() == b""
    assert old.arrivals == []


@pytest.mark.parametrize(
    "path",
    ["/a/../b", "/..", "/a/.", "/a/..;x=1/b", "/%2e%2e/b", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/%", "/%zz", "/a%252e", "/a%3Bb"],
)
def test_a_path_that_servers_read_differently_is_refused(router: RouterProcess, old: ModelServer, path: str) -> None:
    explained(router.ask(get(path)), Refusal.BAD_PATH)
    explained(router.ask(get(f"http://a{path}")), Refusal.BAD_PATH)
    assert old.arrivals == []


def test_the_query_is_none_of_the_routers_business(router: RouterProcess, old: ModelServer) -> None:
    assert router.ask(get("/q?/../%2f%zz\\")).status == 200


def test_an_answer_does_not_depend_on_what_was_asked_before(router: RouterProcess, old: ModelServer) -> None:
    router.ask(b"GET /before HTTP/1.0\r\n\r\n")
    explained(router.ask(b"GET /before HTTP/1.1\r\nHost:\r\n\r\n"), Refusal.BAD_HOST)
    router.ask(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
    explained(router.ask(get("*", host="a")), Refusal.BAD_TARGET)


def test_a_head_refusal_has_no_body(router: RouterProcess) -> None:
    with router.client() as client:
        reply = client.ask(get("/-/nothing", method="HEAD"))
        assert (reply.status, reply.body) == (404, b"")
        assert client.ask(get("/after")).status == 200


def test_an_address_without_a_route_is_not_found_and_the_connection_goes_on(router: RouterProcess) -> None:
    with router.client() as client:
        reply = client.ask(get("/-/nothing", "X-Request-Id: asked"))
        explained(reply, Refusal.NO_ROUTE)
        assert reply.one(b"x-request-id") == b"asked"
        assert client.ask(get("/after")).status == 200


def test_a_refused_request_with_a_body_leaves_no_body_behind(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        explained(client.ask(post("/-/nothing", b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n")), Refusal.NO_ROUTE)
        assert client.ask(get("/after")).status == 200
    assert [arrival.target for arrival in old.arrivals] == [b"/after"]


def test_a_body_that_grows_beyond_the_limit_is_refused_and_never_whole(
    start: Callable[..., RouterProcess], old: ModelServer
) -> None:
    backend = Backend(name="old", endpoints=(old.url,))
    table = RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))
    router = start(table, max_body_bytes="100000")
    with router.client() as client:
        client.send(get("/grows", "Transfer-Encoding: chunked", method="POST"), *[b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 4)
        sleep(0.1)
        client.send(*[b"4000\r\n" + b"x" * 0x4000 + b"\r\n"] * 4)
        explained(client.read(b"POST"), Refusal.BODY_TOO_LARGE)
    assert not any(arrival.complete for arrival in old.got("/grows", 0, seconds=0.2))
    with router.client() as client:
        client.send(get("/at-once", "Transfer-Encoding: chunked", method="POST") + b"1ffff\r\n" + b"x" * 0x1FFFF + b"\r\n0\r\n\r\n")
        explained(client.read(b"POST"), Refusal.BODY_TOO_LARGE)
    assert not any(arrival.complete for arrival in old.got("/at-once", 0, seconds=0.2))


@pytest.mark.parametrize("bad", [b"xyz\r\n", b"5\r\nhelloX", b"-1\r\n", b"5 \r\nhello\r\n", b"5\nhello\r\n", b"0x5\r\nhello\r\n"])
def test_a_bad_chunk_in_mid_upload_never_becomes_a_whole_request(router: RouterProcess, old: ModelServer, bad: bytes) -> None:
    with router.client() as client:
        client.send(get("/bad-chunk", "Transfer-Encoding: chunked", method="POST") + b"4\r\ngood\r\n")
        sleep(0.05)
        client.send(bad + b"0\r\n\r\n")
        explained(client.read(b"POST"), Refusal.BAD_REQUEST)
        assert client.rest() == b""
    assert router.ask(get("/next")).status == 200
    (broken,) = old.got("/bad-chunk", 0, seconds=0.1)
    assert not broken.complete
    assert old.last("/next").connection != broken.connection


def test_chunk_extensions_without_end_are_refused(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.send(get("/extension", "Transfer-Encoding: chunked", method="POST") + b"5;" + b"e" * 1_000_000 + b"\r\nhello\r\n")
        explained(client.read(b"POST"), Refusal.BAD_REQUEST)


def test_trailers_without_end_are_refused(router: RouterProcess, old: ModelServer) -> None:
    with router.client() as client:
        client.send(get("/trailers", "Transfer-Encoding: chunked", method="POST") + b"2\r\n{}\r\n0\r\n")
        sleep(0.05)
        client.send(b"X-Trailer: 1\r\n" * 40_000)
        explained(client.read(b"POST"), Refusal.BAD_REQUEST)
    assert not any(arrival.complete for arrival in old.got("/trailers", 0, seconds=0.1))


@pytest.mark.parametrize("cut", [1_000, 66_000, 99_000])
@pytest.mark.parametrize("big", [f"/{BIG}", "/ HTTP/1.1\r\nX-Big: " + BIG])
def test_a_large_head_is_refused_however_it_arrives(router: RouterProcess, old: ModelServer, cut: int, big: str) -> None:
    request = get(big)
    with router.client() as client:
        client.send(request[:cut])
        sleep(0.05)
        client.send(request[cut:])
        explained(client.read(), Refusal.HEAD_TOO_LARGE)
    assert old.arrivals == []


def test_a_head_that_never_ends_is_refused_for_its_size(router: RouterProcess) -> None:
    with router.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n", *[b"X-Field: 0123456789\r\n" * 1_000] * 10)
        explained(client.read(), Refusal.HEAD_TOO_LARGE)


def test_one_field_that_never_ends_is_refused_for_its_size(router: RouterProcess) -> None:
    with router.client() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Field: ", *[b"0123456789" * 4_000] * 8)
        explained(client.read(), Refusal.HEAD_TOO_LARGE)


def test_a_slow_head_ends_at_its_deadline_however_it_drips(router: RouterProcess) -> None:
    with router.client() as client:
        for byte in b"GET / HTTP/1.1\r\n":
            client.send(bytes([byte]))
            sleep(0.05)
        sleep(0.4)
        reply = client.read()
        explained(reply, Refusal.SLOW_HEAD)
        assert client.rest() == b""


def test_a_body_that_stalls_ends_at_its_deadline_and_is_not_the_backends_fault(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    with router.client() as client:
        client.send(get("/stalls", "Content-Length: 10", f"X-Request-Id: {request_id}", method="POST") + b"12345")
        explained(client.read(b"POST"), Refusal.SLOW_HEAD)
    assert router.served(request_id).answer.failure == "client-gone"


def test_an_idle_connection_is_closed_without_a_word(start: Callable[..., RouterProcess]) -> None:
    router = start(None, idle_timeout="0.3")
    with router.client() as client:
        assert client.rest() == b""


def test_too_many_connections_are_refused_with_a_time_to_come_back(start: Callable[..., RouterProcess]) -> None:
    router = start(None, max_connections="2")
    with router.client() as first, router.client() as second:
        assert first.ask(get("/")).status == second.ask(get("/")).status == 503
        with router.client() as third:
            reply = third.read()
            explained(reply, Refusal.CONNECTIONS)
            assert reply.one(b"retry-after") == b"1"


def test_a_router_without_a_table_says_so(start: Callable[..., RouterProcess]) -> None:
    reply = start(None).ask(get("/"))
    explained(reply, Refusal.NO_TABLE)
    assert reply.one(b"retry-after") == b"1"


def test_a_router_that_is_its_own_backend_ends_the_loop(start: Callable[..., RouterProcess]) -> None:
    def own(port: int) -> RoutingTable:
        backend = Backend(name="self", endpoints=(f"http://127.0.0.1:{port}",))
        return RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("self"),)),))

    reply = start(own).ask(get("/"))
    assert reply.status == 508


def test_every_answer_of_its_own_is_counted_also_those_to_no_request(start: Callable[..., RouterProcess]) -> None:
    router = start(RoutingTable(version=1, backends=(), routes=()), max_connections="1")
    with router.client() as first:
        first.send(b"GET / HT")
        with router.client() as second:
            assert second.read().status == 503
        assert first.read().status == 408
    router.stop()
    assert "request-timeout 1, too-many-connections 1" in router.events()
