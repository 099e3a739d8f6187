"""WebSockets: HTTP until the server's 101, after it bytes both ways, counted, at the pace of the slower side."""

import signal
import socket
import threading
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha1, sha256
from random import Random
from time import monotonic, sleep

import pytest

from modelctl.policy import Breaker, Tls
from modelctl.router.refusal import Refusal
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.authority import Authority
from tests.router.conftest import baseline, candidate
from tests.router.model_server import Closed, ModelServer, Step, close, goodbye, pause, reset, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import PATIENCE, Client, get, ok, post

WEBSOCKET = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
SWITCHED = SWITCH + b"\r\n"
MIB = 1024 * 1024
BLOCK = Random(7).randbytes(MIB)


def head(client: Client) -> bytes:
    """The head of an answer and nothing behind it."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        byte = client.socket.recv(1)
        assert byte, f"the connection ended after {got!r}"
        got += byte
    return got


def exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes."""
    connection.settimeout(PATIENCE)
    got = bytearray()
    while len(got) < count:
        data = connection.recv(min(count - len(got), 262_144))
        assert data, f"the connection ended after {len(got)} bytes"
        got += data
    return bytes(got)


def echo(connection: socket.socket) -> None:
    """A step that sends back what it gets."""
    connection.settimeout(PATIENCE)
    while data := connection.recv(262_144):
        connection.sendall(data)
    raise Closed


def opened(router: RouterProcess, target: str, *fields: str, client: Client | None = None) -> Client:
    """A client behind its 101."""
    client = client or router.client()
    client.send(get(target, *WEBSOCKET, *fields))
    assert head(client).startswith(b"HTTP/1.1 101 ")
    return client


def _flood(connection: socket.socket, sent: list[int], stop: threading.Event) -> None:
    connection.settimeout(0.1)
    while not stop.is_set():
        try:
            sent[0] += connection.send(BLOCK[:65_536])
        except TimeoutError:
            continue
        except OSError:
            return


def _steady(sent: list[int]) -> bool:
    """Whether a flood stands still: how much the kernel's buffers took before is its own business."""
    first = sent[0]
    sleep(0.3)
    return first > 0 and sent[0] == first


# -- the handshake


def test_the_server_is_asked_for_the_protocol_as_the_client_asked(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/ws?a=1", *WEBSOCKET, "Sec-WebSocket-Protocol: v1, v2", "X-Own: 1"))
    arrival = old.last("/ws")
    assert arrival.line == b"GET /ws?a=1 HTTP/1.1"
    assert (arrival.one(b"connection"), arrival.one(b"upgrade")) == (b"upgrade", b"websocket")
    assert (arrival.one(b"sec-websocket-protocol"), arrival.one(b"x-own")) == (b"v1, v2", b"1")
    assert arrival.one(b"sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="


def test_fields_named_in_connection_stay_on_their_hop_also_here(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/ws", "Connection: keep-alive, Upgrade, X-Mine", "Upgrade: WebSocket", "X-Mine: 1", "TE: trailers"))
    arrival = old.last("/ws")
    assert arrival.all(b"x-mine") == arrival.all(b"te") == []
    assert (arrival.one(b"connection"), arrival.one(b"upgrade")) == (b"upgrade", b"websocket")


def test_the_client_gets_the_servers_101_with_our_fields(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    fields = b"Sec-WebSocket-Accept: xyz\r\nKeep-Alive: 5\r\nX-Request-Id: theirs\r\nServer: m\r\n"
    old.on("/ws", SWITCH + fields + b"\r\n", echo)
    with router.client() as client:
        client.send(get("/ws", *WEBSOCKET, f"X-Request-Id: {request_id}"))
        lines = head(client).split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 101 Switching Protocols"
    ours = [b"connection: upgrade", b"upgrade: websocket", b"x-request-id: " + request_id.encode(), b"modelctl-arm: old"]
    assert sorted(lines[1:-2]) == sorted([b"Sec-WebSocket-Accept: xyz", b"Server: m", *ours])


NO_TUNNEL = {
    "another protocol": ("Connection: upgrade", "Upgrade: h2c"),
    "several protocols": ("Connection: upgrade", "Upgrade: websocket, h2c"),
    "two fields": ("Connection: upgrade", "Upgrade: websocket", "Upgrade: websocket"),
    "no protocol": ("Connection: upgrade", "Upgrade:"),
    "a version of it": ("Connection: upgrade", "Upgrade: websocket/13"),
    "without connection": ("Upgrade: websocket",),
    "connection about something else": ("Connection: upgrades, close-not", "Upgrade: websocket"),
}


@pytest.mark.parametrize("name", NO_TUNNEL)
def test_any_other_upgrade_is_answered_as_plain_http(router: RouterProcess, old: ModelServer, name: str) -> None:
    with router.client() as client:
        client.send(get("/plain", *NO_TUNNEL[name]) + get("/next"))
        assert [client.read().status for _ in range(2)] == [200, 200]
        assert client.ask(get("/later")).status == 200
    first, second = old.got("/", 3)[:2]
    assert [first.target, second.target] == [b"/plain", b"/next"]
    assert first.all(b"upgrade") == first.all(b"connection") == []


@pytest.mark.parametrize(
    "request_line", ["POST /plain HTTP/1.1\r\nContent-Length: 0\r\n", "HEAD /plain HTTP/1.1\r\n", "GET /plain HTTP/1.0\r\n"]
)
def test_only_a_get_of_http_1_1_can_switch(router: RouterProcess, old: ModelServer, request_line: str) -> None:
    old.on("/plain", SWITCHED, pause(0.3))
    asked = f"{request_line}Host: a\r\n".encode() + "\r\n".join(WEBSOCKET).encode() + b"\r\n\r\n"
    reply = router.ask(asked)
    assert (reply.status, reply.one(b"modelctl-error")) == (502, Refusal.INVALID.code.encode())
    assert old.last("/plain").all(b"upgrade") == []


def test_an_answer_that_does_not_switch_leaves_the_connection_as_it_was(router: RouterProcess, old: ModelServer) -> None:
    old.on("/ws", b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: other\r\nContent-Length: 2\r\n\r\nno")
    with router.client() as client:
        for _ in range(3):
            reply = client.ask(get("/ws", *WEBSOCKET))
            assert (reply.status, reply.body) == (426, b"no")
            assert client.ask(post("/after", b"{}")).status == 200
    assert len({arrival.connection for arrival in old.arrivals}) == 1


def test_an_interim_answer_may_come_before_the_switch(router: RouterProcess, old: ModelServer) -> None:
    old.on("/ws", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", pause(0.05), SWITCHED + b"hello", echo)
    with opened(router, "/ws") as client:
        assert exactly(client.socket, 5) == b"hello"


def test_a_handshake_that_comes_byte_by_byte_is_the_same(router: RouterProcess, old: ModelServer) -> None:
    def answer(connection: socket.socket) -> None:
        for byte in b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + SWITCHED + b"down":
            connection.sendall(bytes([byte]))
            sleep(0.001)

    old.on("/ws", answer, echo)
    with router.client() as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in get("/ws", *WEBSOCKET) + b"up":
            client.send(bytes([byte]))
            sleep(0.001)
        assert head(client) == b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
        assert head(client).startswith(b"HTTP/1.1 101 ")
        assert exactly(client.socket, 6) == b"downup"


# -- what comes before the 101


def test_bytes_sent_early_reach_the_server_only_after_its_101(router: RouterProcess, old: ModelServer) -> None:
    before: list[bytes] = []

    def listen(connection: socket.socket) -> None:
        connection.settimeout(0.3)
        try:
            before.append(connection.recv(100))
        except TimeoutError:
            before.append(b"")

    old.on("/ws", listen, SWITCHED, echo)
    with router.client() as client:
        client.send(get("/ws", *WEBSOCKET) + b"GET /smuggled HTTP/1.1\r\n")
        sleep(0.05)
        client.send(b"Host: a\r\n\r\n")
        assert head(client).startswith(b"HTTP/1.1 101 ")
        assert exactly(client.socket, 35) == b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
    assert before == [b""]
    assert [arrival.target for arrival in old.arrivals] == [b"/ws"]


def test_bytes_sent_early_are_the_next_request_when_the_server_does_not_switch(router: RouterProcess, old: ModelServer) -> None:
    old.on("/ws", pause(0.1), ok(b"no"))
    with router.client() as client:
        client.send(get("/ws", *WEBSOCKET) + get("/next")[:20])
        sleep(0.05)
        client.send(get("/next")[20:])
        assert client.read().body == b"no"
        assert client.read().status == 200
    assert [arrival.target for arrival in old.got("/", 2)] == [b"/ws", b"/next"]


def test_bytes_sent_early_are_not_read_without_end(router: RouterProcess, old: ModelServer) -> None:
    go, stop, sent = threading.Event(), threading.Event(), [0]
    old.on("/ws", wait(go), SWITCHED, until_left)
    router.ask(get("/warm"))
    before = router.resident
    with router.client() as client:
        client.send(get("/ws", *WEBSOCKET))
        flood = threading.Thread(target=_flood, args=(client.socket, sent, stop))
        flood.start()
        assert eventually(lambda: _steady(sent))
        assert router.resident - before < 4 * MIB
        stop.set()
        flood.join()
        go.set()
        client.socket.settimeout(PATIENCE)
        assert head(client).startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("target", ["/-/nothing", "/plain"])
@pytest.mark.parametrize("protocol", ["websocket", "h2c"])
def test_a_thousand_upgrades_in_one_read_are_answered_one_by_one(
    router: RouterProcess, old: ModelServer, target: str, protocol: str
) -> None:
    many = 1_000 if target.startswith("/-/") else 100
    with router.client() as client:
        client.send(get(target, "Connection: upgrade", f"Upgrade: {protocol}") * many + get("/last"))
        statuses = {client.read().status for _ in range(many)}
        assert statuses == {404 if many == 1_000 else 200}
        assert client.read().status == 200
    assert old.last("/last").complete


def test_an_upgrade_waits_its_turn_behind_other_requests(router: RouterProcess, old: ModelServer) -> None:
    old.on("/slow", pause(0.2), ok(b"first"))
    old.on("/ws", SWITCHED, echo)
    with router.client() as client:
        client.send(get("/slow") + get("/ws", *WEBSOCKET) + b"early")
        got = b""
        while not got.endswith(b"early"):
            got += exactly(client.socket, 1)
    assert got.index(b"first") < got.index(b"HTTP/1.1 101 ")


BAD_SWITCHES = {
    "another protocol": b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    "two protocols": SWITCH + b"Upgrade: h2c\r\n\r\n",
    "no protocol": b"HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n",
    "no connection field": b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n",
    "a length": SWITCH + b"Content-Length: 5\r\n\r\nhello",
    "a coding": SWITCH + b"Transfer-Encoding: chunked\r\n\r\n",
}


@pytest.mark.parametrize("name", BAD_SWITCHES)
def test_a_switch_to_something_else_is_a_bad_gateway(router: RouterProcess, old: ModelServer, request_id: str, name: str) -> None:
    old.on("/ws", BAD_SWITCHES[name], pause(0.3))
    with router.client() as client:
        client.send(get("/ws", *WEBSOCKET, f"X-Request-Id: {request_id}") + get("/next"))
        reply = client.read()
        assert (reply.status, reply.one(b"modelctl-error")) == (502, Refusal.INVALID.code.encode())
        assert client.read().status == 200
    assert old.last("/next").connection != old.last("/ws").connection
    answer = router.served(request_id).answer
    assert (answer.status, answer.failure) == (0, "invalid")


def test_a_switch_that_nobody_asked_for_is_a_bad_gateway(router: RouterProcess, old: ModelServer) -> None:
    old.on("/plain", SWITCHED + b"hello", pause(0.3))
    assert router.ask(get("/plain")).status == 502


def test_a_server_that_does_not_answer_in_time_is_a_gateway_timeout(router: RouterProcess, old: ModelServer) -> None:
    old.on("/impatient/ws", until_left)
    with router.client() as client:
        client.send(get("/impatient/ws", *WEBSOCKET) + get("/next"))
        assert [client.read().status for _ in range(2)] == [504, 200]


@pytest.mark.parametrize("leave", [Client.reset, Client.half_close])
def test_a_client_that_leaves_before_the_101_ends_the_servers_connection(
    router: RouterProcess, old: ModelServer, request_id: str, leave: Callable[[Client], None]
) -> None:
    old.on("/ws", until_left)
    with router.client() as client:
        client.send(get("/ws", *WEBSOCKET, f"X-Request-Id: {request_id}"))
        assert eventually(lambda: bool(old.arrivals))
        leave(client)
        assert eventually(lambda: old.arrivals[0].left_at > 0, 2.0)
    assert router.served(request_id).answer.failure == "client-gone"


# -- the tunnel


def masked(payload: bytes, *, opcode: int) -> bytes:
    """A frame of a WebSocket client (RFC 6455 5.2), at most 125 bytes."""
    mask = b"\x11\x22\x33\x44"
    return bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + bytes(a ^ mask[i % 4] for i, a in enumerate(payload))


def websocket_server(connection: socket.socket) -> None:
    """A step that greets, repeats text in capitals, and answers a close frame with one."""
    connection.sendall(b"\x81\x05hello")
    while True:
        first, second, *mask = exactly(connection, 6)
        text = bytes(a ^ mask[i % 4] for i, a in enumerate(exactly(connection, second & 0x7F)))
        connection.sendall(bytes([first, len(text)]) + text.upper())
        if first & 0x0F == 8:
            raise Closed


def test_a_websocket_conversation_from_handshake_to_closing_handshake(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    # The example of RFC 6455 1.3.
    accept = b64encode(sha1(b"dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
    old.on("/chat", SWITCH + b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n", websocket_server)
    with router.client() as client:
        client.send(get("/chat", *WEBSOCKET, f"X-Request-Id: {request_id}"))
        assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head(client)
        assert exactly(client.socket, 7) == b"\x81\x05hello"
        for text in (b"one", b"two"):
            client.send(masked(text, opcode=1))
            assert exactly(client.socket, 5) == b"\x81\x03" + text.upper()
        client.send(masked(b"\x03\xe8", opcode=8))
        assert exactly(client.socket, 4) == b"\x88\x02\x03\xe8"
        assert client.rest() == b""
    served = router.served(request_id)
    assert (served.answer.status, served.answer.failure) == (101, "")
    assert (served.request.size, served.answer.size) == (9 + 9 + 8, 7 + 5 + 5 + 4)
    assert (served.request.body, served.answer.body) == (b"", b"")


def test_the_record_says_how_long_the_tunnel_lived_and_when_it_began(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    old.on("/ws", pause(0.1), SWITCHED, pause(0.3))
    with opened(router, "/ws", f"X-Request-Id: {request_id}") as client:
        old.close_connections()
        assert client.rest() == b""
    answer = router.served(request_id).answer
    assert 90_000 < answer.first_byte < 1_000_000
    assert answer.first_byte <= answer.latency
    assert answer.failure == ""


def test_large_messages_pass_both_ways_at_once_byte_for_byte(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/ws", SWITCHED, echo)
    with opened(router, "/ws", f"X-Request-Id: {request_id}") as client:
        sender = threading.Thread(target=client.send, args=[BLOCK] * 20)
        sender.start()
        assert sha256(exactly(client.socket, 20 * MIB)).digest() == sha256(BLOCK * 20).digest()
        sender.join()
    served = router.served(request_id)
    assert (served.request.size, served.answer.size) == (20 * MIB, 20 * MIB)


def test_a_client_that_does_not_read_slows_the_server_down(router: RouterProcess, old: ModelServer) -> None:
    stop, sent = threading.Event(), [0]
    old.on("/ws", SWITCHED, lambda connection: _flood(connection, sent, stop))
    router.ask(get("/warm"))
    before = router.resident
    with opened(router, "/ws", client=router.client(receive_buffer=65_536)) as client:
        assert eventually(lambda: _steady(sent))
        assert router.resident - before < 4 * MIB
        stop.set()
        old.close_connections()
        assert len(client.rest()) == sent[0]


def test_a_server_that_does_not_read_slows_the_client_down(router: RouterProcess, old: ModelServer) -> None:
    stop, sent, received = threading.Event(), [0], [0]

    def read_all(connection: socket.socket) -> None:
        stop.wait(PATIENCE)
        connection.settimeout(PATIENCE)
        while data := connection.recv(262_144):
            received[0] += len(data)
        raise Closed

    old.on("/ws", SWITCHED, read_all)
    router.ask(get("/warm"))
    before = router.resident
    with opened(router, "/ws") as client:
        flood = threading.Thread(target=_flood, args=(client.socket, sent, stop))
        flood.start()
        assert eventually(lambda: _steady(sent))
        assert router.resident - before < 4 * MIB
        stop.set()
        flood.join()
        client.half_close()
        assert client.rest() == b""
    assert received[0] == sent[0]


@pytest.mark.parametrize("secured", ["client", "server", "both"])
def test_a_tunnel_passes_large_messages_over_tls(start: Callable[..., RouterProcess], authority: Authority, secured: str) -> None:
    pair = authority.issue()
    server = ModelServer(context=pair.server() if secured != "client" else None)
    server.on(
        "/ws",
        SWITCHED,
        lambda connection: connection.sendall(exactly(connection, 3 * MIB)),
        close if secured == "client" else goodbye,
    )
    backend = Backend(name="old", endpoints=(server.url,), tls=Tls(ca=authority.ca))
    table = RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))
    files = {"tls_certificate": pair.certificate, "tls_key": pair.key} if secured != "server" else {}
    router = start(table, **files)
    plain = socket.create_connection(("127.0.0.1", router.port), timeout=PATIENCE)
    outer = authority.client(None).wrap_socket(plain, server_hostname="127.0.0.1") if files else plain
    with opened(router, "/ws", "X-Request-Id: secure", client=Client(connected=outer)) as client:
        client.send(BLOCK, BLOCK, BLOCK)
        assert sha256(exactly(client.socket, 3 * MIB)).digest() == sha256(BLOCK * 3).digest()
        assert client.rest() == b""
    served = router.served("secure")
    assert (served.answer.status, served.answer.failure, served.answer.size) == (101, "", 3 * MIB)
    server.stop()


# -- the end


def test_a_client_that_leaves_ends_the_servers_connection_at_once(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/ws", SWITCHED, until_left)
    client = opened(router, "/ws", f"X-Request-Id: {request_id}")
    client.socket.close()
    left = monotonic()
    assert eventually(lambda: old.arrivals[0].left_at > 0)
    assert old.arrivals[0].left_at - left < 0.5
    answer = router.served(request_id).answer
    assert (answer.status, answer.failure) == (101, "")


def test_a_client_that_breaks_off_is_written_down_as_gone(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    old.on("/ws", SWITCHED, until_left)
    opened(router, "/ws", f"X-Request-Id: {request_id}").reset()
    assert eventually(lambda: old.arrivals[0].left_at > 0)
    answer = router.served(request_id).answer
    assert (answer.status, answer.failure) == (101, "client-gone")


ENDINGS: dict[str, tuple[Step, str]] = {"orderly": (pause(0), ""), "broken": (reset, "truncated")}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_server_that_leaves_ends_the_clients_connection(
    router: RouterProcess, old: ModelServer, request_id: str, name: str
) -> None:
    step, failure = ENDINGS[name]

    def end(connection: socket.socket) -> None:
        connection.sendall(b"bye")
        sleep(0.2)
        step(connection) if callable(step) else None
        raise Closed

    old.on("/ws", SWITCHED, end)
    with opened(router, "/ws", f"X-Request-Id: {request_id}") as client:
        assert exactly(client.socket, 3) == b"bye"
        assert client.rest() == b""
    assert router.served(request_id).answer.failure == failure


def test_a_client_that_has_said_all_may_still_hear_the_rest(router: RouterProcess, old: ModelServer, request_id: str) -> None:
    def listen_then_speak(connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        heard = b""
        while data := connection.recv(100):
            heard += data
        for _ in range(4):
            sleep(0.1)
            connection.sendall(heard)
        raise Closed

    old.on("/ws", SWITCHED, listen_then_speak)
    with opened(router, "/ws", f"X-Request-Id: {request_id}") as client:
        client.send(b"all")
        client.half_close()
        assert client.rest() == b"all" * 4
    assert router.served(request_id).answer.failure == ""


def test_a_silent_side_is_not_waited_for_when_the_other_has_closed(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    go = threading.Event()
    old.on("/ws", SWITCHED, wait(go))
    with opened(router, "/ws", f"X-Request-Id: {request_id}") as client:
        client.half_close()
        started = monotonic()
        assert client.rest() == b""
        assert 1.0 < monotonic() - started < 8.0
    go.set()
    assert router.served(request_id).answer.failure == ""


# -- what it counts as


def test_a_tunnel_is_in_flight_on_its_backend_until_it_ends(router: RouterProcess, old: ModelServer) -> None:
    old.on("/narrow/ws", SWITCHED, until_left)
    with opened(router, "/narrow/ws") as client, router.client() as waiting:
        waiting.send(get("/narrow/waiting"))
        sleep(0.2)
        assert router.ask(get("/narrow/refused")).status == 503
        assert [arrival.target for arrival in old.arrivals] == [b"/narrow/ws"]
        client.socket.close()
        assert waiting.read().status == 200


def test_a_request_to_switch_is_not_shown(router: RouterProcess, old: ModelServer, new: ModelServer, request_id: str) -> None:
    old.on("/shown", SWITCHED, echo)
    opened(router, "/shown", f"X-Request-Id: {request_id}").socket.close()
    served = router.served(request_id)
    assert (served.shown, served.answer.status) == ((("new", "upgrade"),), 101)
    assert new.arrivals == []


def test_a_breaker_knows_with_the_101_that_a_candidate_answers_again(
    start: Callable[..., RouterProcess], old: ModelServer, new: ModelServer
) -> None:
    backends = (Backend(name="old", endpoints=(old.url,)), Backend(name="new", endpoints=(new.url,)))
    arms = (baseline("old", 0), candidate("new", answers=10_000))
    breaker = Breaker(consecutive=1, open_ms=200, probes=1)
    router = start(RoutingTable(version=1, backends=backends, routes=(Route(name="all", arms=arms, breaker=breaker),)))
    new.on("/fails", b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
    new.on("/ws", SWITCHED, echo)
    assert router.ask(get("/fails")).status == 500
    assert router.ask(get("/plain")).one(b"modelctl-arm") == b"old"
    sleep(0.5)
    with opened(router, "/ws") as client:
        assert router.ask(get("/plain")).one(b"modelctl-arm") == b"new"
        client.send(b"still open")
        assert exactly(client.socket, 10) == b"still open"
    assert "breaker-closed" in router.events()


def test_a_drain_lets_tunnels_live_until_its_end_and_then_cuts_them(start: Callable[..., RouterProcess], old: ModelServer) -> None:
    old.on("/ws", SWITCHED, echo)
    backend = Backend(name="old", endpoints=(old.url,))
    table = RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))
    router = start(table, drain_timeout="2")
    with opened(router, "/ws", "X-Request-Id: drained") as client:
        router.process.send_signal(signal.SIGTERM)
        started = monotonic()
        for _ in range(5):
            sleep(0.2)
            client.send(b"still there")
            assert exactly(client.socket, 11) == b"still there"
        assert client.rest() == b""
        assert 1.5 < monotonic() - started < 8.0
    assert router.process.wait(PATIENCE) == 0
    served = router.served("drained")
    assert (served.answer.status, served.answer.failure, served.answer.size) == (101, "client-gone", 55)
