"""Unix sockets on both sides, and IPv6."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.authority import Authority
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, close, until_left
from tests.router.process import RouterProcess, eventually
from tests.router.wire import PATIENCE, Client, Incomplete, get, ok, post_chunked

Start = Callable[..., RouterProcess]
MEGABYTE = bytes(range(256)) * 4_096


def only(url: str) -> RoutingTable:
    backend = Backend(name="old", endpoints=(url,))
    return RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))


def listening(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(64)
    return listener


def unix_client(path: Path) -> Client:
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(PATIENCE)
    plain.connect(str(path))
    return Client(connected=plain)


@pytest.fixture
def model(tmp_path: Path) -> Iterator[ModelServer]:
    """A model server on a Unix socket."""
    server = ModelServer(listener=listening(tmp_path / "model.sock"))
    yield server
    server.stop()
    assert server.faults == []


def test_both_sides_can_be_unix_sockets(start: Start, model: ModelServer, tmp_path: Path) -> None:
    model.on("/big", ok(MEGABYTE))
    path = tmp_path / "r.sock"
    start(only(model.url), listener=listening(path))
    with unix_client(path) as client:
        assert client.ask(get("/a")).status == 200
        assert client.ask(post_chunked("/big", MEGABYTE[:300_000], MEGABYTE[300_000:])).body == MEGABYTE
    assert model.last("/big").body == MEGABYTE
    assert len({arrival.connection for arrival in model.arrivals}) == 1


def test_a_client_on_a_unix_socket_has_no_address(start: Start, model: ModelServer, tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    start(only(model.url), listener=listening(path))
    with unix_client(path) as client:
        client.ask(get("/a", "X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1"))
    arrival = model.last("/a")
    assert arrival.one(b"forwarded") == b"for=unknown;proto=http"
    assert arrival.all(b"x-forwarded-for") == []
    assert arrival.one(b"x-forwarded-proto") == b"http"


def test_a_proxy_on_a_unix_socket_can_be_trusted(start: Start, model: ModelServer, tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    start(only(model.url), listener=listening(path), trusted_proxies="unix")
    with unix_client(path) as client:
        client.ask(get("/a", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: https"))
    arrival = model.last("/a")
    assert arrival.all(b"x-forwarded-for") == [b"192.0.2.1"]
    assert arrival.all(b"x-forwarded-proto") == [b"https"]


def test_an_answer_that_breaks_off_is_cut_on_a_unix_socket_too(start: Start, model: ModelServer, tmp_path: Path) -> None:
    model.on("/cut", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", close)
    path = tmp_path / "r.sock"
    start(only(model.url), listener=listening(path))
    with unix_client(path) as client, pytest.raises(Incomplete):
        client.ask(get("/cut"))


def test_a_client_that_leaves_a_unix_socket_ends_the_request(start: Start, model: ModelServer, tmp_path: Path) -> None:
    model.on("/slow", until_left)
    path = tmp_path / "r.sock"
    start(only(model.url), listener=listening(path))
    with unix_client(path) as client:
        client.send(get("/slow"))
        assert eventually(lambda: bool(model.arrivals))
    assert eventually(lambda: model.arrivals[0].left_at > 0)


def test_a_socket_file_that_is_not_there_is_a_failed_connection(start: Start, tmp_path: Path) -> None:
    router = start(only(f"unix:{tmp_path}/none.sock"))
    assert router.ask(get("/")).one(b"modelctl-error") == b"connect-failed"


def test_a_backend_on_a_unix_socket_gets_the_clients_host(start: Start, model: ModelServer) -> None:
    router = start(only(model.url))
    assert router.ask(get("/a", host="models.example")).status == 200
    assert model.last("/a").one(b"host") == b"models.example"


def test_tls_is_spoken_on_a_unix_socket_too(start: Start, model: ModelServer, authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("DNS:models.example")
    path = tmp_path / "r.sock"
    start(only(model.url), listener=listening(path), tls_certificate=pair.certificate, tls_key=pair.key)
    plain = socket.socket(socket.AF_UNIX)
    plain.settimeout(PATIENCE)
    plain.connect(str(path))
    with Client(connected=authority.client().wrap_socket(plain, server_hostname="models.example")) as client:
        assert client.ask(get("/a")).status == 200
    assert model.last("/a").one(b"forwarded") == b"for=unknown;proto=https"


def test_both_sides_can_be_ipv6(start: Start, tmp_path: Path) -> None:
    backend = ModelServer(listener=socket.create_server(("::1", 0), family=socket.AF_INET6))
    router = start(
        only(f"http://[::1]:{backend.port}"),
        listener=socket.create_server(("::1", 0), family=socket.AF_INET6),
        trusted_proxies="127.0.0.1",
    )
    with Client(connected=socket.create_connection(("::1", router.port), PATIENCE)) as client:
        assert client.ask(get("/six")).status == 200
    arrival = backend.last("/six")
    assert arrival.one(b"forwarded") == b'for="[::1]";proto=http'
    assert arrival.one(b"x-forwarded-for") == b"::1"
    backend.stop()
