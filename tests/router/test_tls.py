"""TLS on the port for clients: the same answers as without it, and an end that nobody can mistake."""

import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.authority import Authority, Pair
from tests.router.conftest import SHORT, baseline
from tests.router.model_server import ModelServer, close, pause, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import PATIENCE, Client, get, ok, ok_chunked, post, post_chunked

Start = Callable[..., RouterProcess]
MEGABYTE = bytes(range(256)) * 4_096


def only(old: ModelServer) -> RoutingTable:
    backend = Backend(name="old", endpoints=(old.url,))
    return RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.issue()


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory, pair: Pair, model: ModelServer) -> Iterator[RouterProcess]:
    """A router that speaks TLS."""
    settings = SHORT | {"tls_certificate": pair.certificate, "tls_key": pair.key}
    router = RouterProcess(tmp_path_factory.mktemp("secure"), only(model), settings=settings)
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()
    assert "warning" not in router.events().lower(), router.events()


@pytest.fixture
def old(model: ModelServer) -> Iterator[ModelServer]:
    model.forget()
    yield model
    assert model.faults == []


class Connect:
    """Opens TLS connections to a port."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def __call__(self, router: RouterProcess, *, shown: Pair | None = None, receive_buffer: int = 0) -> Client:
        plain = socket.socket()
        if receive_buffer:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        plain.settimeout(PATIENCE)
        plain.connect(("127.0.0.1", router.port))
        context = self._authority.client(shown)
        context.set_alpn_protocols(["h2", "http/1.1"])
        try:
            return Client(connected=context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False))
        except OSError:
            plain.close()
            raise


@pytest.fixture
def connect(authority: Authority) -> Connect:
    return Connect(authority)


def tls_of(client: Client) -> ssl.SSLSocket:
    assert isinstance(client.socket, ssl.SSLSocket)
    return client.socket


# -- answers


def test_a_request_over_tls_is_answered_and_its_scheme_is_passed_on(
    secure: RouterProcess, old: ModelServer, connect: Connect
) -> None:
    with connect(secure) as client:
        assert client.ask(get("/a")).status == 200
        assert client.ask(get("/b")).status == 200
        assert tls_of(client).selected_alpn_protocol() == "http/1.1"
    arrival = old.last("/b")
    assert arrival.one(b"x-forwarded-proto") == b"https"
    assert arrival.one(b"forwarded") == b"for=127.0.0.1;proto=https"


def test_bodies_of_a_megabyte_pass_both_ways(secure: RouterProcess, old: ModelServer, connect: Connect) -> None:
    old.on("/big", ok(MEGABYTE))
    with connect(secure) as client:
        for request in (
            post("/big", MEGABYTE),
            post_chunked("/big", *[MEGABYTE[n : n + 70_000] for n in range(0, 1 << 20, 70_000)]),
        ):
            assert client.ask(request).body == MEGABYTE
    assert [arrival.body == MEGABYTE for arrival in old.got("/big", 2)] == [True, True]


def test_pipelined_requests_are_answered_in_their_order(secure: RouterProcess, old: ModelServer, connect: Connect) -> None:
    for number in range(5):
        old.on(f"/p{number}", pause(0.02), ok(b"%d" % number))
    with connect(secure) as client:
        client.send(b"".join(get(f"/p{number}") for number in range(5)))
        assert [client.read().body for _ in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(
    secure: RouterProcess, old: ModelServer, authority: Authority
) -> None:
    """Over TLS 1.3 the client's last handshake message and its first request often share a packet."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client().wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", secure.port), PATIENCE) as plain:
        for _ in range(5):
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
                break
            plain.sendall(outgoing.read())
            incoming.write(plain.recv(65_536))
        tls.write(get("/together"))
        plain.sendall(outgoing.read())
        answer = b""
        while b"{}" not in answer:
            incoming.write(plain.recv(65_536))
            with suppress(ssl.SSLWantReadError):
                while data := tls.read(65_536):
                    answer += data
    assert answer.startswith(b"HTTP/1.1 200")


# -- ends


def test_the_last_answer_ends_with_tls_own_goodbye(secure: RouterProcess, old: ModelServer, connect: Connect) -> None:
    with connect(secure) as client:
        assert client.ask(get("/last", "Connection: close")).one(b"connection") == b"close"
        assert client.socket.recv(1) == b""


def test_an_answer_that_breaks_off_has_no_goodbye(secure: RouterProcess, old: ModelServer, connect: Connect) -> None:
    old.on("/cut", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", close)
    old.on("/chunks", ok_chunked(b"part")[:-5], close)
    for request in (get("/cut"), get("/chunks"), get("/chunks").replace(b"HTTP/1.1", b"HTTP/1.0")):
        with connect(secure) as client:
            client.send(request)
            received, why = _until_broken(client)
            assert "EOF occurred" in why or "reset by peer" in why, why
            assert b"part" in received or b"HTTP/1.0" in request  # a reset may overtake it
            assert not received.endswith(b"0\r\n\r\n")


def _until_broken(client: Client) -> tuple[bytes, str]:
    """What came, and why no more did; no reason at all for an end in good order."""
    received = b""
    try:
        while data := client.socket.recv(65_536):
            received += data
    except OSError as error:
        return received, str(error)
    return received, ""


def test_a_refusal_before_the_body_has_come_can_be_read_and_ends_with_a_goodbye(
    secure: RouterProcess, old: ModelServer, connect: Connect
) -> None:
    with connect(secure) as client:
        started = monotonic()
        client.send(get("/../x", "Content-Length: 1000000", method="POST"))
        with suppress(OSError):
            client.send(MEGABYTE[:200_000])
        reply = client.read(b"POST")
        assert (reply.status, reply.one(b"connection")) == (400, b"close")
        assert client.socket.recv(1) == b""
        assert monotonic() - started < PATIENCE


def test_a_client_that_leaves_ends_the_backends_connection(secure: RouterProcess, old: ModelServer, connect: Connect) -> None:
    old.on("/slow", until_left)
    for how in (socket.SHUT_WR, socket.SHUT_RDWR):
        old.arrivals.clear()
        with connect(secure) as client:
            client.send(get("/slow"))
            assert eventually(lambda: bool(old.arrivals))
            socket.socket.shutdown(client.socket, how)  # without TLS's goodbye
        assert eventually(lambda: old.arrivals[0].left_at > 0)


def test_a_client_that_says_goodbye_has_left(secure: RouterProcess, old: ModelServer, connect: Connect) -> None:
    old.on("/slow", until_left)
    with connect(secure) as client:
        client.send(get("/slow"))
        assert eventually(lambda: bool(old.arrivals))
        with suppress(OSError):
            tls_of(client).unwrap()
        assert eventually(lambda: old.arrivals[0].left_at > 0)


# -- back-pressure


def test_a_slow_reader_does_not_make_memory_grow(secure: RouterProcess, old: ModelServer, connect: Connect) -> None:
    size = 96 * 1024 * 1024
    sent = threading.Event()

    def pour(connection: socket.socket) -> None:
        connection.settimeout(60)
        for _ in range(size // len(MEGABYTE)):
            connection.sendall(MEGABYTE)
        sent.set()

    old.on("/pour", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, pour)
    with connect(secure, receive_buffer=4_096) as client:
        client.ask(get("/warm"))
        before = secure.resident
        client.send(get("/pour"))
        received = len(client.socket.recv(16_384))
        sleep(1.0)
        assert not sent.is_set()
        assert secure.resident - before < 16 * 1024 * 1024
        client.socket.settimeout(60)
        while data := client.socket.recv(262_144):
            received += len(data)
            if received > size:
                break
    assert received > size


def test_a_slow_backend_holds_the_upload_back(secure: RouterProcess, old: ModelServer, connect: Connect) -> None:
    go = threading.Event()
    old.on("/sink", wait(go), ok(b"got"), early=True)
    size = 64 * 1024 * 1024
    with connect(secure) as client:
        client.ask(get("/warm"))
        before = secure.resident
        client.send(get("/sink", f"Content-Length: {size}", method="POST"))
        client.socket.settimeout(0.5)
        assert _written(client, size) < size
        assert secure.resident - before < 16 * 1024 * 1024
    go.set()


def _written(client: Client, size: int) -> int:
    """How much of `size` bytes the router takes before it takes no more."""
    written = 0
    try:
        while written < size:
            written += client.socket.send(MEGABYTE)
    except TimeoutError:
        pass
    return written


# -- handshakes


def test_plain_http_at_the_tls_port_is_just_closed(secure: RouterProcess, old: ModelServer) -> None:
    with secure.client() as client:
        client.send(get("/"))
        assert not client.rest().startswith(b"HTTP")
    assert old.arrivals == []


def test_a_handshake_that_does_not_end_is_closed(secure: RouterProcess) -> None:
    hello = ssl.MemoryBIO()
    with suppress(ssl.SSLWantReadError):
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), hello, server_hostname="x").do_handshake()
    first = hello.read()
    for begin in (b"", first[:20], first):
        with secure.client() as client:
            started = monotonic()
            client.send(begin)
            client.rest()
            assert 0.5 < monotonic() - started < PATIENCE - 1


def test_old_versions_of_tls_are_refused(secure: RouterProcess, authority: Authority) -> None:
    context = authority.client()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", secure.port), PATIENCE) as plain,
        pytest.raises(OSError, match=r"(?i)alert|eof|reset"),
    ):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_handshakes_count_as_connections(start: Start, old: ModelServer, pair: Pair, connect: Connect) -> None:
    router = start(only(old), tls_certificate=pair.certificate, tls_key=pair.key, max_connections="2", header_timeout="3")
    with router.client() as idle, router.client() as other:
        sleep(0.3)
        with router.client() as third:
            assert third.rest() == b""
        other.socket.close()
        assert eventually(lambda: _answers(router, connect))
        idle.rest()
    assert eventually(lambda: _answers(router, connect))


def _answers(router: RouterProcess, connect: Connect) -> bool:
    try:
        with connect(router) as client:
            return client.ask(get("/")).status == 200
    except OSError:
        return False


def test_clients_may_have_to_show_a_certificate(
    start: Start, old: ModelServer, pair: Pair, authority: Authority, connect: Connect
) -> None:
    router = start(only(old), tls_certificate=pair.certificate, tls_key=pair.key, tls_client_ca=authority.ca)
    with connect(router, shown=authority.issue("DNS:client")) as client:
        assert client.ask(get("/shown")).status == 200
    for shown in (None, authority.self_signed()):
        with pytest.raises(OSError, match=r"(?i)alert|eof|reset"), connect(router, shown=shown) as client:  # noqa: PT012 one or the other
            client.send(get("/stranger"))
            client.socket.recv(1)
    assert [arrival.target for arrival in old.arrivals] == [b"/shown"]


# -- files


def test_a_new_certificate_is_shown_without_a_restart(
    start: Start, old: ModelServer, authority: Authority, connect: Connect, tmp_path: Path
) -> None:
    files = Pair(str(tmp_path / "c.pem"), str(tmp_path / "c.key"))
    first, second = authority.issue(), authority.issue("IP:127.0.0.1,DNS:second")
    _put(first, files)
    router = start(only(old), tls_certificate=files.certificate, tls_key=files.key, idle_timeout="30")
    with connect(router) as early:
        assert early.ask(get("/before")).status == 200
        Path(files.certificate).write_text("nonsense")
        assert eventually(lambda: "tls-files-refused" in router.events())
        assert _names(router, connect) == {"127.0.0.1"}
        _put(second, files)
        assert eventually(lambda: _names(router, connect) == {"127.0.0.1", "second"})
        assert early.ask(get("/after")).status == 200


def _put(pair: Pair, files: Pair) -> None:
    shutil.copy(pair.certificate, files.certificate)
    shutil.copy(pair.key, files.key)


def _names(router: RouterProcess, connect: Connect) -> set[str]:
    with connect(router) as client:
        shown = tls_of(client).getpeercert()
        assert shown is not None
        return {str(pair[1]) for pair in shown["subjectAltName"]}


def test_files_that_cannot_be_used_are_one_line_and_exit_code_2(
    start: Start, old: ModelServer, authority: Authority, pair: Pair, tmp_path: Path
) -> None:
    locked = tmp_path / "locked.key"
    other = authority.issue()
    for certificate, key in ((str(tmp_path / "none.pem"), pair.key), (pair.certificate, other.key), (pair.key, pair.key)):
        router = start(only(old), tls_certificate=certificate, tls_key=key)
        assert router.process.wait(PATIENCE) == 2
        assert router.events().splitlines()[-1].startswith("error: MODELCTL_TLS_CERTIFICATE: ")
    assert not locked.exists()


# -- the end of the process


def test_a_drain_ends_tls_connections_in_good_order(start: Start, old: ModelServer, pair: Pair, connect: Connect) -> None:
    go = threading.Event()
    old.on("/slow", wait(go), ok(b"finished"))
    router = start(only(old), tls_certificate=pair.certificate, tls_key=pair.key)
    with connect(router) as idle, connect(router) as busy:
        assert idle.ask(get("/")).status == 200
        busy.send(get("/slow"))
        assert eventually(lambda: any(arrival.target == b"/slow" for arrival in old.arrivals))
        router.process.terminate()
        assert idle.socket.recv(1) == b""
        idle.socket.close()
        go.set()
        assert busy.read().one(b"connection") == b"close"
        assert busy.socket.recv(1) == b""
        busy.socket.close()
    assert router.process.wait(PATIENCE) == 0
