"""WebSockets through the router: the client and the server of PyPI's `websockets`."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from random import Random

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.http11 import Request, Response

from modelctl.evidence import CLEAN, CLIENT_GONE
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.process import RouterProcess

MIB = 1 << 20
BLOCK = Random(3).randbytes(MIB)
LARGEST = 2 * MIB


class WebSocketServer:
    """Sends back what it gets; what it is told first may say otherwise: see `_answer`."""

    def __init__(self) -> None:
        self.codes: list[tuple[int | None, str]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        self.port: int = next(iter(self._server.sockets)).getsockname()[1]

    async def _start(self) -> Server:
        return await serve(self._answer, "127.0.0.1", 0, process_request=_admit, max_size=LARGEST)

    async def _answer(self, connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for message in connection:
                if message == "close":
                    await connection.close(4_001, "as you wish")
                elif message == "break":
                    connection.transport.abort()
                elif message == "fragments":
                    await connection.send([b"one ", b"two ", b"three"])
                elif message == "ping":
                    await (await connection.ping(b"from the server"))
                    await connection.send("ponged")
                else:
                    await connection.send(message)
        self.codes.append((connection.close_code, connection.close_reason or ""))

    def stop(self) -> None:
        """Close every connection."""
        self._loop.call_soon_threadsafe(self._server.close)
        asyncio.run_coroutine_threadsafe(self._server.wait_closed(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _admit(connection: ServerConnection, request: Request) -> Response | None:
    return connection.respond(HTTPStatus.FORBIDDEN, "not you\n") if request.path.startswith("/forbidden") else None


@pytest.fixture(scope="module")
def server() -> Iterator[WebSocketServer]:
    server = WebSocketServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tunnels(server: WebSocketServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """A router before it."""
    backends = (Backend(name="live", endpoints=(f"http://127.0.0.1:{server.port}",)),)
    table = RoutingTable(version=1, backends=backends, routes=(Route(name="live", arms=(baseline("live"),)),))
    router = RouterProcess(tmp_path_factory.mktemp("tunnels"), table).ready()
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()


def opened(router: RouterProcess, request_id: str, path: str = "/live") -> connect:
    fields = {"X-Request-Id": request_id}
    return connect(f"ws://127.0.0.1:{router.port}{path}", additional_headers=fields, max_size=LARGEST, proxy=None)


def talk(router: RouterProcess, request_id: str, talked: Callable[[ClientConnection], object]) -> None:
    """One connection and what is said on it."""

    async def whole() -> None:
        async with opened(router, request_id) as connection:
            await talked(connection)  # type: ignore[misc]

    asyncio.run(asyncio.wait_for(whole(), 60))


def test_text_and_bytes_come_back(tunnels: RouterProcess) -> None:
    async def talked(connection: ClientConnection) -> None:
        for message in ("", "naïve ☃", b"", b"\x00\xff" * 100, "x" * 70_000, BLOCK[:70_000], BLOCK[:40_000].hex()):
            await connection.send(message)
            assert await connection.recv() == message
        assert connection.response is not None
        assert connection.response.headers["modelctl-arm"] == "live"

    talk(tunnels, "text", talked)
    answer = tunnels.served("text").answer
    assert (answer.status, answer.ended) == (101, CLEAN)
    assert answer.size > 70_000
    assert tunnels.served("text").request.size > 70_000


def test_both_sides_can_ping(tunnels: RouterProcess) -> None:
    async def talked(connection: ClientConnection) -> None:
        assert await (await connection.ping(b"from the client")) >= 0
        await connection.send("ping")
        assert await connection.recv() == "ponged"

    talk(tunnels, "ping", talked)


def test_messages_of_a_mebibyte_come_back(tunnels: RouterProcess) -> None:
    async def talked(connection: ClientConnection) -> None:
        for shift in range(5):
            message = BLOCK[shift:] + BLOCK[:shift]
            await connection.send(message)
            assert await connection.recv() == message

    talk(tunnels, "large", talked)
    assert tunnels.served("large").answer.size > 5 * MIB


def test_fragmented_messages_keep_their_fragments(tunnels: RouterProcess) -> None:
    async def talked(connection: ClientConnection) -> None:
        await connection.send([BLOCK[:10], BLOCK[10:70_000], BLOCK[70_000:]])
        assert await connection.recv() == BLOCK
        await connection.send("fragments")
        assert [piece async for piece in connection.recv_streaming()] == [b"one ", b"two ", b"three", b""]

    talk(tunnels, "fragments", talked)


def test_the_reason_to_close_passes_both_ways(tunnels: RouterProcess, server: WebSocketServer) -> None:
    async def leaves(connection: ClientConnection) -> None:
        await connection.close(4_002, "enough")

    async def is_left(connection: ClientConnection) -> None:
        await connection.send("close")
        with pytest.raises(ConnectionClosed) as caught:
            await connection.recv()
        assert caught.value.rcvd is not None
        assert (caught.value.rcvd.code, caught.value.rcvd.reason) == (4_001, "as you wish")

    talk(tunnels, "leaves", leaves)
    assert tunnels.served("leaves").answer.ended == CLEAN
    assert (4_002, "enough") in server.codes
    talk(tunnels, "is-left", is_left)
    assert tunnels.served("is-left").answer.ended == CLEAN


def test_a_connection_that_breaks_on_one_side_breaks_on_the_other(tunnels: RouterProcess, server: WebSocketServer) -> None:
    async def is_cut(connection: ClientConnection) -> None:
        await connection.send("break")
        with pytest.raises(ConnectionClosedError):
            await connection.recv()

    async def cuts(connection: ClientConnection) -> None:
        await connection.send("hello")
        await connection.recv()
        connection.transport.abort()

    talk(tunnels, "is-cut", is_cut)
    assert tunnels.served("is-cut").answer.status == 101
    talk(tunnels, "cuts", cuts)
    assert tunnels.served("cuts").answer.failure in ("", CLIENT_GONE)
    assert (1_006, "") in server.codes


def test_a_server_that_refuses_is_heard(tunnels: RouterProcess) -> None:
    async def refused() -> None:
        with pytest.raises(InvalidStatus) as caught:
            async with opened(tunnels, "forbidden", "/forbidden"):
                pytest.fail("it was let in")
        response = caught.value.response
        assert (response.status_code, response.body) == (403, b"not you\n")
        assert response.headers["modelctl-arm"] == "live"

    asyncio.run(asyncio.wait_for(refused(), 60))
    answer = tunnels.served("forbidden").answer
    assert (answer.status, answer.body, answer.failure) == (403, b"not you\n", "")


def test_a_hundred_at_once_are_kept_apart(tunnels: RouterProcess) -> None:
    async def one(number: int, all_there: asyncio.Barrier) -> list[str | bytes]:
        async with opened(tunnels, f"many-{number}") as connection:
            await all_there.wait()
            got = []
            for turn in range(10):
                await connection.send(f"{number} {turn}")
                got.append(await connection.recv())
            return got

    async def all_of_them() -> list[list[str | bytes]]:
        all_there = asyncio.Barrier(100)
        return await asyncio.gather(*(one(number, all_there) for number in range(100)))

    got = asyncio.run(asyncio.wait_for(all_of_them(), 60))
    assert got == [[f"{number} {turn}" for turn in range(10)] for number in range(100)]
    assert all(tunnels.served(f"many-{number}").answer.ended == CLEAN for number in (0, 50, 99))
