"""HTTP/1.0 on either side, and clients of IPv6."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelctl.router.address import plain_address
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import SHORT, baseline
from tests.router.model_server import ModelServer, Step, close, pause
from tests.router.process import RouterProcess
from tests.router.wire import PATIENCE, Client, get, ok, post

# -- servers of HTTP/1.0

KEPT = b"HTTP/1.0 200 OK\r\nConnection: %b\r\nContent-Length: 2\r\n\r\nok"


def test_a_server_of_http_1_0_that_keeps_its_connection_is_asked_there_again(router: RouterProcess, old: ModelServer) -> None:
    old.on("/kept", KEPT % b"keep-alive")
    for _ in range(5):
        assert router.ask(post("/kept", b"{}")).body == b"ok"
    assert len({arrival.connection for arrival in old.got("/kept", 5)}) == 1


@pytest.mark.parametrize("connection", [b"close", b"", b"x"])
def test_a_server_of_http_1_0_that_does_not_say_so_is_not(router: RouterProcess, old: ModelServer, connection: bytes) -> None:
    old.on("/closed", KEPT % connection)
    for _ in range(3):
        assert router.ask(get("/closed")).body == b"ok"
    assert len({arrival.connection for arrival in old.got("/closed", 3)}) == 3


OLD_ANSWERS: dict[str, tuple[Step, ...]] = {
    "known length": (b"HTTP/1.0 200 OK\r\nContent-Length: 8\r\n\r\nall", pause(0.05), b" of it"[:5]),
    "until the end": (b"HTTP/1.0 200 OK\r\n\r\nall", pause(0.05), b" of i", close),
    "until the end, though it says that it goes on": (
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nall of i",
        pause(0.05),
        close,
    ),
}


@pytest.mark.parametrize("name", OLD_ANSWERS)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_answers_of_old_servers_are_whole_for_old_and_new_clients(
    router: RouterProcess, old: ModelServer, name: str, version: str
) -> None:
    old.on("/old", *OLD_ANSWERS[name])
    with router.client() as client:
        reply = client.ask(f"GET /old HTTP/{version}\r\nHost: a\r\n\r\n".encode())
        assert (reply.status, reply.body, reply.version) == (200, b"all of i", b"1.1")
        if version == "1.1":
            assert client.ask(get("/after")).status == 200


def test_an_answer_in_chunks_of_http_1_0_is_whole_or_refused(router: RouterProcess, old: ModelServer) -> None:
    old.on("/old", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", close)
    reply = router.ask(get("/old"))
    assert (reply.status, reply.body) == (200, b"ok") or reply.status == 502


# -- clients of HTTP/1.0


def test_a_stream_reaches_a_client_of_http_1_0_as_it_comes_and_ends_with_the_connection(
    router: RouterProcess, old: ModelServer
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    old.on("/stream", head + b"9\r\ndata: 1\n\n\r\n", pause(0.3), b"9\r\ndata: 2\n\n\r\n0\r\nETag: x\r\n\r\n")
    with router.client() as client:
        client.send(b"GET /stream HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nTE: trailers\r\n\r\n")
        client.socket.settimeout(PATIENCE)
        first = b""
        while not first.endswith(b"\n\n"):
            first += client.socket.recv(1)
        assert first.endswith(b"\r\n\r\ndata: 1\n\n")
        assert b"data: 2" not in first
        assert client.rest() == b"data: 2\n\n"


# -- clients of IPv6


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RouterProcess, ModelServer]]:
    """A router that listens to IPv6 and, through it, to IPv4."""
    server = ModelServer()
    backend = Backend(name="old", endpoints=(server.url,))
    table = RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    folder: Path = tmp_path_factory.mktemp("wide")
    router = RouterProcess(folder, table, settings=SHORT, listener=listener)
    yield router, server
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()
    server.stop()


def _over_ipv6(router: RouterProcess, request: bytes) -> bytes:
    with socket.create_connection(("::1", router.port), timeout=PATIENCE) as connection:
        connection.sendall(request)
        return connection.recv(65_536)


def test_a_client_of_ipv6_is_named_as_one(wide: tuple[RouterProcess, ModelServer]) -> None:
    router, server = wide
    assert _over_ipv6(router, get("/six", host="[::1]:80")).startswith(b"HTTP/1.1 200 ")
    arrival = server.last("/six")
    assert arrival.one(b"x-forwarded-for") == b"::1"
    assert arrival.one(b"forwarded") == b'for="[::1]";proto=http'
    assert arrival.one(b"x-forwarded-host") == arrival.one(b"host") == b"[::1]:80"


def test_a_client_of_ipv4_is_named_as_one_whatever_the_socket(wide: tuple[RouterProcess, ModelServer]) -> None:
    router, server = wide
    assert router.ask(get("/four")).status == 200
    arrival = server.last("/four")
    assert arrival.one(b"x-forwarded-for") == b"127.0.0.1"
    assert arrival.one(b"forwarded") == b"for=127.0.0.1;proto=http"


def test_a_proxy_is_trusted_by_its_ipv4_address_whatever_the_socket(wide: tuple[RouterProcess, ModelServer]) -> None:
    router, server = wide
    with Client(router.port, source="127.0.0.2") as client:
        assert client.ask(get("/trusted", "X-Forwarded-For: 192.0.2.7")).status == 200
    assert server.last("/trusted").all(b"x-forwarded-for") == [b"192.0.2.7", b"127.0.0.2"]


@pytest.mark.parametrize(
    ("peer", "known"),
    [("::1", "::1"), ("fe80::1%eth0", "fe80::1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8:0:0::1", "2001:db8::1")],
)
def test_an_address_is_what_others_know_it_by(peer: str, known: str) -> None:
    assert plain_address(peer) == known


def test_a_follower_of_an_old_answer_gets_its_own(router: RouterProcess, old: ModelServer) -> None:
    old.on("/kept", KEPT % b"keep-alive")
    old.on("/next", ok(b"mine"))
    with router.client() as client:
        client.send(get("/kept") + get("/next") + get("/kept"))
        assert [client.read().body for _ in range(3)] == [b"ok", b"mine", b"ok"]
