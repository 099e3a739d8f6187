"""Bodies larger than anybody's buffers: byte for byte, in bounded memory, at the pace of the slower side."""

import random
import socket
import threading
from hashlib import sha256
from itertools import pairwise
from time import monotonic, sleep

from tests.router.model_server import ModelServer, pause, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import get, ok, ok_chunked

MIB = 1024 * 1024
BLOCK = random.Random(1).randbytes(MIB)
MAX_GROWTH = 16 * MIB
KERNEL = 50 * MIB  # more than the buffers of three sockets ever hold


def test_an_upload_of_50_mib_passes_in_bounded_memory(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/warm"))
    before = router.resident
    with router.client() as client:
        client.send(get("/upload", f"Content-Length: {50 * MIB}", method="POST"), *[BLOCK] * 50)
        assert client.read(b"POST").status == 200
    assert sha256(old.last("/upload").body).digest() == sha256(BLOCK * 50).digest()
    assert router.resident - before < MAX_GROWTH


def test_an_upload_in_chunks_passes_in_bounded_memory(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/warm"))
    before = router.resident
    piece = BLOCK[:70_000]
    with router.client() as client:
        client.send(get("/chunks", "Transfer-Encoding: chunked", method="POST"), *[b"%x\r\n%b\r\n" % (len(piece), piece)] * 300)
        client.send(b"0\r\n\r\n")
        assert client.read(b"POST").status == 200
    assert old.last("/chunks").body == piece * 300
    assert router.resident - before < MAX_GROWTH


def test_a_download_of_50_mib_passes_in_bounded_memory(router: RouterProcess, old: ModelServer) -> None:
    before = router.resident
    old.on("/download", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (50 * MIB), *[BLOCK] * 50)
    assert sha256(router.ask(get("/download")).body).digest() == sha256(BLOCK * 50).digest()
    assert router.resident - before < MAX_GROWTH


def test_a_download_in_chunks_passes_in_bounded_memory(router: RouterProcess, old: ModelServer) -> None:
    before = router.resident
    old.on("/chunks", ok_chunked(*[BLOCK] * 20))
    assert router.ask(get("/chunks")).body == BLOCK * 20
    assert router.resident - before < MAX_GROWTH


def _sent(socket_: socket.socket, stop: threading.Event) -> list[int]:
    """Sends blocks until `stop`, and says how many got away."""
    counted = [0]

    def send() -> None:
        socket_.settimeout(0.1)
        while not stop.is_set():
            try:
                counted[0] += socket_.send(BLOCK[:65_536])
            except TimeoutError:
                continue
            except OSError:
                return

    threading.Thread(target=send, daemon=True).start()
    return counted


def test_a_client_that_does_not_read_slows_the_model_server_down(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/warm"))
    before = router.resident
    counted: list[list[int]] = []
    stop = threading.Event()

    def flood(connection: socket.socket) -> None:
        counted.append(_sent(connection, stop))
        stop.wait(10)
        sleep(0.2)

    old.on("/flood", b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (200 * MIB), flood)
    with router.client(receive_buffer=65_536) as client:
        client.send(get("/flood"))
        assert eventually(lambda: bool(counted) and _steady(counted[0]))
        assert counted[0][0] < KERNEL
        assert router.resident - before < 4 * MIB
        assert router.ask(get("/meanwhile")).status == 200
        stop.set()


def _steady(counted: list[int]) -> bool:
    """Whether nothing moves any more."""
    first = counted[0]
    sleep(0.3)
    return first > 0 and counted[0] == first


def test_a_model_server_that_does_not_read_slows_the_client_down(router: RouterProcess, old: ModelServer) -> None:
    router.ask(get("/warm"))
    before = router.resident
    reading, stop = threading.Event(), threading.Event()
    old.on("/stuck", wait(reading), ok(), until_left, early=True)
    with router.client() as client:
        client.send(get("/stuck", f"Content-Length: {60 * MIB}", method="POST"))
        counted = _sent(client.socket, stop)
        assert eventually(lambda: _steady(counted))
        assert counted[0] < KERNEL
        assert router.resident - before < 4 * MIB
        stop.set()
        reading.set()
        assert client.read(b"POST").status == 200


def test_a_slow_reader_gets_everything_a_fast_server_sends(router: RouterProcess, old: ModelServer) -> None:
    body = BLOCK * 3
    old.on("/fast", ok(body))
    with router.client(receive_buffer=32_768) as client:
        client.send(get("/fast"))
        received = b""
        while len(received) - received.find(b"\r\n\r\n") - 4 < len(body):
            received += client.socket.recv(200_000)
            sleep(0.002)
    assert received.partition(b"\r\n\r\n")[2] == body


def test_a_slow_server_gets_everything_a_fast_client_sends(router: RouterProcess, old: ModelServer) -> None:
    old.on("/slow", ok(), read_pause=0.01)
    with router.client() as client:
        client.send(get("/slow", f"Content-Length: {8 * MIB}", method="POST"), *[BLOCK] * 8)
        assert client.read(b"POST").status == 200
    assert old.last("/slow").body == BLOCK * 8


def test_an_upload_slower_than_the_response_timeout_is_not_the_servers_fault(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    with router.client() as client:
        client.send(get("/impatient/upload", "Content-Length: 10", f"X-Request-Id: {request_id}", method="POST"))
        for byte in b"0123456789":
            sleep(0.08)
            client.send(bytes([byte]))
        assert client.read(b"POST").status == 200
    assert router.served(request_id).answer.failure == ""


def test_a_pause_in_an_upload_longer_than_the_response_timeout_is_not_the_servers_fault(
    router: RouterProcess, old: ModelServer
) -> None:
    with router.client() as client:
        client.send(get("/impatient/pause", "Content-Length: 10", method="POST") + b"01234")
        sleep(0.7)
        client.send(b"56789")
        assert client.read(b"POST").status == 200
    assert old.last("/impatient/pause").body == b"0123456789"


def test_a_server_that_does_not_read_the_upload_in_time_has_timed_out(
    router: RouterProcess, old: ModelServer, request_id: str
) -> None:
    stop = threading.Event()
    old.on("/impatient/stuck", pause(4), early=True)
    with router.client() as client:
        client.send(get("/impatient/stuck", f"Content-Length: {60 * MIB}", f"X-Request-Id: {request_id}", method="POST"))
        _sent(client.socket, stop)
        assert eventually(lambda: bool([r for r in router.records() if request_id.encode() in repr(r).encode()]), 4)
        stop.set()
    assert router.served(request_id).answer.failure == "timeout"


def test_events_of_a_stream_reach_the_client_as_they_come(router: RouterProcess, old: ModelServer) -> None:
    events = [b"data: %d\n\n" % number for number in range(5)]
    steps = [step for event in events for step in (b"%x\r\n%b\r\n" % (len(event), event), pause(0.1))]
    old.on("/events", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *steps, b"0\r\n\r\n")
    with router.client() as client:
        client.send(get("/events"))
        arrived: list[float] = []
        received = b""
        while len(arrived) < 5:
            received += client.socket.recv(10_000)
            arrived += [monotonic()] * (received.count(b"data:") - len(arrived))
    gaps = [later - earlier for earlier, later in pairwise(arrived)]
    assert min(gaps) > 0.05
    assert max(gaps) < 0.2
