"""TLS to model servers: verified unless told otherwise, and never a way back to plain text."""

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep

import pytest

from modelctl.errors import InvalidInput
from modelctl.policy import Tls
from modelctl.traffic import Arm, Backend, HostSent, Role, Route, RoutingTable
from tests.router.authority import Authority
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, Step, close, goodbye
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Incomplete, Reply, get, ok, post, post_chunked

Start = Callable[..., RouterProcess]
MEGABYTE = bytes(range(256)) * 4_096


def to(*urls: str, tls: Tls, **options: object) -> RoutingTable:
    backend = Backend(name="secure", endpoints=urls, tls=tls, **options)  # type: ignore[arg-type]
    return RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("secure"),)),))


@pytest.fixture
def serve() -> Iterator[Callable[..., ModelServer]]:
    """Starts model servers with a context; stops them."""
    running: list[ModelServer] = []

    def starter(context: ssl.SSLContext | None) -> ModelServer:
        running.append(ModelServer(context=context))
        return running[-1]

    yield starter
    for server in running:
        server.stop()


Serve = Callable[..., ModelServer]


def refused(router: RouterProcess, reason: str, *, request_id: str = "refused") -> Reply:
    reply = router.ask(get("/", f"X-Request-Id: {request_id}"))
    assert (reply.status, reply.one(b"modelctl-error")) == (502, b"tls-failed")
    assert router.served(request_id).answer.failure == "tls"
    assert eventually(lambda: reason in router.events()), router.events()
    return reply


def test_a_valid_certificate_is_accepted_and_connections_are_kept(start: Start, serve: Serve, authority: Authority) -> None:
    model = serve(authority.issue().server())
    router = start(to(model.url, tls=Tls(ca=authority.ca)))
    model.on("/big", ok(MEGABYTE))
    with router.client() as client:
        for request in (get("/big"), post("/big", MEGABYTE), post_chunked("/big", MEGABYTE[:500_000], MEGABYTE[500_000:])):
            assert client.ask(request).body == MEGABYTE
    assert [arrival.body for arrival in model.got("/big", 3)[1:]] == [MEGABYTE, MEGABYTE]
    assert model.handshakes == [""]


@pytest.mark.parametrize(
    ("names", "days", "reason"),
    [("DNS:wrong-name.invalid", 30, "IP address mismatch"), ("IP:127.0.0.1", -1, "certificate has expired")],
)
def test_a_certificate_that_is_not_valid_for_it_is_refused(
    start: Start, serve: Serve, authority: Authority, *, names: str, days: int, reason: str
) -> None:
    model = serve(authority.issue(names, days=days).server())
    refused(start(to(model.url, tls=Tls(ca=authority.ca))), reason)
    assert model.arrivals == []


def test_a_certificate_of_a_stranger_is_refused(start: Start, serve: Serve, authority: Authority) -> None:
    model = serve(authority.self_signed().server())
    refused(start(to(model.url, tls=Tls(ca=authority.ca))), "self-signed certificate")


def test_without_a_ca_the_systems_authorities_count(start: Start, serve: Serve, authority: Authority) -> None:
    model = serve(authority.issue().server())
    refused(start(to(model.url, tls=Tls())), "certificate verify failed")


def test_a_self_signed_certificate_can_be_its_own_ca(start: Start, serve: Serve, authority: Authority) -> None:
    pair = authority.self_signed()
    model = serve(pair.server())
    assert start(to(model.url, tls=Tls(ca=pair.certificate))).ask(get("/")).status == 200


def test_verification_can_be_switched_off(start: Start, serve: Serve, authority: Authority) -> None:
    model = serve(authority.self_signed("/CN=x", "subjectAltName=DNS:x").server())
    assert start(to(model.url, tls=Tls(verify=False))).ask(get("/")).status == 200


def test_the_server_name_is_asked_for_and_verified(start: Start, serve: Serve, authority: Authority) -> None:
    context = authority.issue("DNS:model.internal").server()
    asked: list[str] = []
    context.sni_callback = lambda tls, name, own: asked.append(name)
    model = serve(context)
    router = start(to(model.url, tls=Tls(ca=authority.ca, server_name="model.internal")))
    assert router.ask(get("/")).status == 200
    assert asked == ["model.internal"]


@pytest.mark.parametrize("name", ["a..b", ".a", "a" * 64 + ".b", "-a", "a b", "a" * 254])
def test_what_can_be_no_server_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="server_name"):
        Tls(server_name=name)


def test_plain_text_is_never_fallen_back_to(start: Start, serve: Serve, authority: Authority) -> None:
    plain = serve(None)
    refused(start(to(plain.url.replace("http:", "https:"), tls=Tls(verify=False))), "")
    assert [arrival for arrival in plain.arrivals if arrival.head] == []


def test_old_versions_are_not_spoken(start: Start, serve: Serve, authority: Authority) -> None:
    context = authority.issue().server()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    refused(start(to(serve(context).url, tls=Tls(ca=authority.ca))), "")


def test_a_healthy_endpoint_takes_over_from_one_with_a_wrong_certificate(start: Start, serve: Serve, authority: Authority) -> None:
    wrong, right = serve(authority.issue("DNS:x").server()), serve(authority.issue().server())
    router = start(to(wrong.url, right.url, tls=Tls(ca=authority.ca)))
    for number in range(6):
        assert router.ask(post(f"/{number}", b"body", "Connection: close")).status == 200
    assert len(right.arrivals) == 6


# -- certificates of the router's own


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_may_want_a_certificate(start: Start, serve: Serve, authority: Authority, version: ssl.TLSVersion) -> None:
    context = authority.issue().server(client_ca=authority.ca)
    context.maximum_version = version
    model = serve(context)
    own = authority.issue("DNS:router")
    router = start(to(model.url, tls=Tls(ca=authority.ca, certificate=own.certificate, key=own.key)))
    assert router.ask(get("/")).status == 200


def test_without_the_certificate_a_server_wants_it_answers_nothing(start: Start, serve: Serve, authority: Authority) -> None:
    context = authority.issue().server(client_ca=authority.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    refused(start(to(serve(context).url, tls=Tls(ca=authority.ca))), "")


def test_over_tls_1_3_a_server_complains_only_afterwards(start: Start, serve: Serve, authority: Authority) -> None:
    model = serve(authority.issue().server(client_ca=authority.ca))
    reply = start(to(model.url, tls=Tls(ca=authority.ca))).ask(get("/"))
    assert reply.status == 502
    assert reply.one(b"modelctl-error") in (b"tls-failed", b"upstream-reset")
    assert model.arrivals == []


# -- files


def test_files_are_read_again_when_they_change(start: Start, serve: Serve, authority: Authority, tmp_path: Path) -> None:
    model = serve(authority.issue().server())
    ca = tmp_path / "ca.pem"
    router = start(to(model.url, tls=Tls(ca=str(ca))))
    refused(router, "No such file", request_id="missing")
    ca.write_text("nonsense")
    assert eventually(lambda: router.events().count("tls-files-refused") == 2)
    refused(router, "", request_id="nonsense")
    shutil.copy(authority.ca, ca)
    assert eventually(lambda: router.ask(get("/")).status == 200)
    shutil.copy(authority.self_signed().certificate, ca)
    assert eventually(lambda: _status_of_new_connection(router, model) == 502)


def _status_of_new_connection(router: RouterProcess, model: ModelServer) -> int:
    model.close_connections()
    return router.ask(get("/")).status


def test_a_table_with_files_that_are_not_there_serves_everything_else(
    start: Start, serve: Serve, old: ModelServer, authority: Authority
) -> None:
    model = serve(authority.issue().server())
    nowhere = Tls(ca="/nowhere/ca.pem", certificate="/nowhere/c.pem", key="/nowhere/k.pem")
    backends = (
        Backend(name="broken", endpoints=(model.url,), tls=nowhere),
        Backend(name="old", endpoints=(old.url,)),
    )
    routes = (Route(name="broken", path="/broken", arms=(baseline("broken"),)), Route(name="all", arms=(baseline("old"),)))
    router = start(RoutingTable(version=1, backends=backends, routes=routes))
    assert router.ask(get("/fine")).status == 200
    assert router.ask(get("/broken")).one(b"modelctl-error") == b"tls-failed"
    assert "/nowhere/ca.pem" in router.events()


# -- ends


@pytest.mark.parametrize(("end", "whole"), [(goodbye, True), (close, False)])
def test_an_answer_without_a_length_is_whole_only_with_tls_own_goodbye(
    start: Start, serve: Serve, authority: Authority, *, end: Step, whole: bool
) -> None:
    model = serve(authority.issue().server())
    model.on("/", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it", end)
    router = start(to(model.url, tls=Tls(ca=authority.ca)))
    with router.client() as client:
        client.send(get("/", "X-Request-Id: ended"))
        if whole:
            assert client.read().body == b"all of it"
        else:
            with pytest.raises(Incomplete):
                client.read()
    assert router.served("ended").answer.failure == ("" if whole else "truncated")


@pytest.mark.parametrize("end", [goodbye, close])
def test_a_slow_client_gets_the_whole_answer_of_a_server_that_has_left(
    start: Start, serve: Serve, authority: Authority, end: Step
) -> None:
    """What is not decrypted yet when the connection ends must not get lost."""
    size = 8 * len(MEGABYTE)
    model = serve(authority.issue().server())
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size
    model.on("/", head, *[MEGABYTE] * 8, end)
    router = start(to(model.url, tls=Tls(ca=authority.ca)))
    with router.client(receive_buffer=32_768) as client:
        client.send(get("/"))
        received = 0
        last = b""
        while data := client.socket.recv(65_536):
            received += len(data)
            last = (last + data)[-1_000:]
            sleep(0.002)
            if last.endswith(MEGABYTE[-1_000:]) and received > size:
                break
    assert last == MEGABYTE[-1_000:]
    assert received > size


def test_a_handshake_that_does_not_end_is_a_failed_connection(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        router = start(to(url, tls=Tls(verify=False), connect_timeout_ms=300))
        assert router.ask(get("/")).one(b"modelctl-error") == b"connect-failed"


# -- the Host field


def test_the_host_field_is_the_clients_or_the_endpoints(start: Start, old: ModelServer, new: ModelServer) -> None:
    backends = (
        Backend(name="old", endpoints=(old.url,), host=HostSent.ENDPOINT),
        Backend(name="kept", endpoints=(old.url,)),
        Backend(name="new", endpoints=(new.url,), host=HostSent.ENDPOINT),
    )
    shown = Arm(backend="new", role=Role.CANDIDATE, shown=10_000)
    routes = (
        Route(name="all", arms=(baseline("old"), shown)),
        Route(name="kept", path="/kept", arms=(baseline("kept"),)),
    )
    router = start(RoutingTable(version=1, backends=backends, routes=routes))
    router.ask(get("/own", host="models.example"))
    router.ask(get("/kept", host="models.example"))
    assert old.last("/own").one(b"host") == old.url.removeprefix("http://").encode()
    assert new.last("/own").one(b"host") == new.url.removeprefix("http://").encode()
    assert old.last("/own").one(b"x-forwarded-host") == b"models.example"
    assert old.last("/kept").one(b"host") == b"models.example"
