"""Connections to a backend: who gets one, and that nobody is bound to one that does not come."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import sleep

import pytest

from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.process import RouterProcess
from tests.router.wire import post

LATE = 1.5


def serve(connection: socket.socket) -> None:
    """Answers each request of two body bytes until the other end leaves."""
    received = b""
    with connection:
        while data := connection.recv(65_536):
            received += data
            while b"\r\n\r\n{}" in received:
                received = received.partition(b"\r\n\r\n{}")[2]
                sleep(0.002)
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")


@pytest.fixture
def crowded() -> Iterator[int]:
    """The port of a server that serves its first connection at once and accepts the others late; its accept queue is short."""
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        threads: list[threading.Thread] = []

        def run() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
                threads[-1].start()
                if len(threads) == 1:
                    sleep(LATE)

        accepting = threading.Thread(target=run, daemon=True)
        accepting.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for thread in threads:
            thread.join()


def test_requests_take_a_connection_that_becomes_free_and_do_not_wait_for_their_own(crowded: int, tmp_path: Path) -> None:
    backends = (Backend(name="crowded", endpoints=(f"http://127.0.0.1:{crowded}",)),)
    table = RoutingTable(version=1, backends=backends, routes=(Route(name="all", arms=(baseline("crowded"),)),))
    router = RouterProcess(tmp_path, table)
    clients = [router.client() for _ in range(30)]
    for number, client in enumerate(clients):
        client.send(post("/", b"{}", f"X-Request-Id: crowded-{number}"))
    assert {client.read(b"POST").status for client in clients} == {200}
    waited = [router.served(f"crowded-{number}").answer.latency / 1e6 for number in range(30)]
    # The few whose connection stands in the accept queue wait for the server; a lost SYN, sent again after a second, holds nobody.
    assert sum(seconds > 0.9 for seconds in waited) <= 5, sorted(waited)
    for client in clients:
        client.socket.close()
    assert router.stop() == 0
