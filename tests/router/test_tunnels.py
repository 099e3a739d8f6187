"""A tunnel by itself, on real sockets, with the clock in the test's hand: how it ends when nothing moves, and how it begins."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from modelctl.endpoint import parse_endpoint
from modelctl.router.clock import Clock
from modelctl.router.intake import KnownHeads
from modelctl.router.overload import Load
from modelctl.router.process import Connection
from modelctl.router.refusal import Refusal
from modelctl.router.shadow import Evidence
from modelctl.router.table import CompiledTable
from modelctl.router.target import STREAM_IDLE
from modelctl.router.tunnel import CLOSING, Tunnel
from modelctl.router.upstream import HIGH_WATER, Upstream
from modelctl.router.watch import Watch
from modelctl.settings import Settings

PATIENCE = 10.0


class Unused:
    """A spool: the exchange writes the record, not the tunnel."""

    def append(self, payload: bytes) -> None:
        raise AssertionError(payload)


class Joined:
    """A tunnel between two socket pairs; everything it needs of others, and what it tells them."""

    def __init__(self) -> None:
        self.clock = Clock(1_000.0)
        self.settings = Settings()
        self.known_heads = KnownHeads()
        self.load = Load(max_memory=0, max_inflight=1)
        self.spool: Evidence = Unused()
        self.table: CompiledTable | None = None
        self.endpoint = parse_endpoint("http://127.0.0.1:1")
        self.host = b""
        self.watch: Watch | None = None
        self.freed: list[bool] = []
        self.lost = 0
        self.dismissed = 0
        self.ended: list[tuple[str, int, int]] = []
        self.loop = asyncio.get_running_loop()

    async def open(self) -> "Joined":
        near, self.client = socket.socketpair()
        far, self.server = socket.socketpair()
        for end in (near, self.client, far, self.server):
            end.setblocking(False)
        self.near, _ = await self.loop.create_connection(asyncio.Protocol, sock=near)
        self.near.set_write_buffer_limits(high=HIGH_WATER)
        self.upstream = Upstream(self, self.clock, timeouts=(1.0, 1.0))
        await self.loop.create_connection(lambda: cast("asyncio.Protocol", self.upstream), sock=far)
        self.tunnel = Tunnel(self, self, client=self.near, upstream=self.upstream)
        return self

    def start(self, *, up: bytes = b"", down: bytes = b"", slow: tuple[bool, bool] = (False, False)) -> None:
        self.tunnel.start(b"101\n", up=up, down=down, slow=slow)

    async def read(self, end: socket.socket, count: int) -> bytes:
        got = b""
        while len(got) < count:
            async with asyncio.timeout(PATIENCE):
                data = await self.loop.sock_recv(end, count - len(got))
            if not data:
                break
            got += data
        return got

    def close(self) -> None:
        self.client.close()
        self.server.close()
        self.tunnel.cut()

    # what the process, the pool and the exchange are told

    def on_tunnel_end(self, failure: str, *, up: int, down: int) -> None:
        self.ended.append((failure, up, down))

    def on_free(self, upstream: Upstream, *, reusable: bool) -> None:
        self.freed.append(reusable)

    def on_lost(self, upstream: Upstream) -> None:
        self.lost += 1

    def admit(self, connection: Connection) -> bool:
        raise AssertionError

    def supersede(self, old: Connection, new: Connection) -> None:
        raise AssertionError

    def dismiss(self, connection: Connection) -> None:
        self.dismissed += 1

    def trusts(self, peer: str) -> bool:
        raise AssertionError

    def count_refusal(self, refusal: Refusal) -> None:
        raise AssertionError


def run(test: Callable[[Joined], Awaitable[None]]) -> None:
    """One test in a loop of its own, and what must hold after every tunnel."""

    async def whole() -> None:
        joined = await Joined().open()
        try:
            await test(joined)
        finally:
            joined.close()
            await asyncio.sleep(0.05)
        assert (len(joined.ended), joined.freed, joined.lost, joined.dismissed) == (1, [False], 1, 1)

    asyncio.run(whole())


def test_what_came_before_it_passes_first_and_is_counted() -> None:
    async def test(joined: Joined) -> None:
        joined.start(up=b"early", down=b"greeting")
        await joined.loop.sock_sendall(joined.client, b" and late")
        await joined.loop.sock_sendall(joined.server, b"!")
        assert await joined.read(joined.client, 13) == b"101\ngreeting!"
        assert await joined.read(joined.server, 14) == b"early and late"
        joined.tunnel.cut()
        assert joined.ended == [("client-gone", 14, 9)]

    run(test)


def test_every_byte_puts_its_end_off_and_silence_brings_it() -> None:
    async def test(joined: Joined) -> None:
        joined.start()
        assert joined.tunnel.deadline == 1_000.0 + STREAM_IDLE
        joined.clock.now = 1_200.0
        await joined.loop.sock_sendall(joined.server, b"x")
        assert await joined.read(joined.client, 5) == b"101\nx"
        assert joined.tunnel.deadline == 1_200.0 + STREAM_IDLE
        joined.clock.now = 1_600.0
        joined.tunnel.expired()
        assert (await joined.read(joined.client, 1), await joined.read(joined.server, 1)) == (b"", b"")
        assert joined.ended == [("client-gone", 0, 1)]

    run(test)


def test_an_end_that_is_silent_after_the_other_has_closed_has_less_time() -> None:
    async def test(joined: Joined) -> None:
        joined.start()
        joined.client.shutdown(socket.SHUT_WR)
        assert await joined.read(joined.server, 1) == b""
        assert joined.tunnel.deadline == 1_000.0 + CLOSING
        joined.tunnel.expired()
        assert await joined.read(joined.client, 5) == b"101\n"
        assert joined.ended == [("", 0, 0)]

    run(test)


def test_a_slow_side_that_still_takes_bytes_is_not_cut_and_one_that_does_not_is() -> None:
    async def test(joined: Joined) -> None:
        joined.start(down=b"x" * 4_000_000)
        joined.tunnel.expired()
        assert joined.ended == []
        await joined.read(joined.client, 1_000_000)
        joined.tunnel.expired()
        assert joined.ended == []
        await asyncio.sleep(0.05)
        joined.tunnel.expired()
        joined.tunnel.expired()
        assert joined.ended == [("client-gone", 0, 4_000_000)]

    run(test)


def test_a_side_that_has_closed_and_does_not_read_either_is_cut() -> None:
    async def test(joined: Joined) -> None:
        joined.start(up=b"x" * 4_000_000)
        joined.server.shutdown(socket.SHUT_WR)
        assert await joined.read(joined.client, 5) == b"101\n"
        assert joined.tunnel.deadline == 1_000.0 + CLOSING
        joined.tunnel.expired()
        assert joined.ended == []
        joined.tunnel.expired()
        assert joined.ended == [("", 4_000_000, 0)]

    run(test)


def test_a_connection_that_could_take_no_more_before_it_is_not_given_more() -> None:
    async def test(joined: Joined) -> None:
        joined.near.write(b"a" * 2_000_000)
        joined.start(slow=(True, False))
        filler = asyncio.create_task(joined.loop.sock_sendall(joined.server, b"b" * 20_000_000))
        await asyncio.sleep(0.1)
        assert joined.near.get_write_buffer_size() < 2_000_100
        assert await joined.read(joined.client, 22_000_004) == b"a" * 2_000_000 + b"101\n" + b"b" * 20_000_000
        await filler

    run(test)


@pytest.mark.parametrize("closing", ["client", "server"])
def test_what_is_unsent_when_one_side_closes_still_reaches_the_other(closing: str) -> None:
    async def test(joined: Joined) -> None:
        joined.start()
        from_, to = (joined.client, joined.server) if closing == "client" else (joined.server, joined.client)
        if to is joined.client:
            assert await joined.read(to, 4) == b"101\n"
        sender = asyncio.create_task(joined.loop.sock_sendall(from_, b"z" * 5_000_000))
        assert await joined.read(to, 1_000_000) == b"z" * 1_000_000
        closer = asyncio.create_task(_close_after(sender, from_))
        assert await joined.read(to, 4_000_001) == b"z" * 4_000_000
        await closer

    run(test)


async def _close_after(sender: "asyncio.Task[None]", end: socket.socket) -> None:
    await sender
    end.close()
