"""Clients that ask and do not read: what is held for them is bounded, whoever answers."""

import socket
from collections.abc import Callable

import pytest

from modelctl.traffic import RoutingTable
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Client, get

MORE_THAN_BUFFERS = 96 * 1024 * 1024
REFUSED = get("/-/preview/nobody", "x-filler: " + "f" * 1_000)  # so few of them in one read that all are answered


def _push(client: Client, piece: bytes) -> int:
    """Send on until nothing is taken for a second: how many bytes were."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
    client.socket.settimeout(0.7)
    taken = 0
    try:
        while taken < MORE_THAN_BUFFERS:
            taken += client.socket.send(memoryview(piece)[taken % len(piece) :])
    except TimeoutError:
        return taken
    return taken


@pytest.mark.parametrize("piece", [REFUSED * 200, REFUSED], ids=["many", "one"])
def test_a_client_that_reads_no_refusals_is_not_read_either(router: RouterProcess, piece: bytes) -> None:
    before = router.ready().resident
    with router.client(receive_buffer=4_096) as client:
        assert _push(client, piece) < MORE_THAN_BUFFERS
        assert router.resident - before < 24 * 1024 * 1024


def test_who_reads_later_gets_every_answer(router: RouterProcess) -> None:
    number = 5_000
    with router.client(receive_buffer=4_096) as client:
        client.socket.settimeout(20.0)
        client.send(REFUSED * number)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        came = b""
        while came.count(b"HTTP/1.1 404") < number and (piece := client.socket.recv(1 << 20)):
            came = came + piece if len(came) < 1 << 26 else piece
    assert came.count(b"HTTP/1.1 404") == number


def test_who_never_reads_is_closed(start: Callable[..., RouterProcess]) -> None:
    router = start(RoutingTable(version=1, backends=(), routes=()), idle_timeout="1")
    with router.client(receive_buffer=4_096) as client:
        _push(client, REFUSED * 200)
        assert eventually(lambda: router.connections == 0)
