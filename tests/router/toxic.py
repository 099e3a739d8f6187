"""A TCP proxy that mistreats what passes: a loop of its own in a thread, one pair of sockets per connection.

Each direction has a Toxic of its own. What a connection suffers is drawn when it is opened, so that a new illness hits new
connections alone and half of all can be spared.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from random import Random
from typing import NamedTuple

_RESET = struct.pack("ii", 1, 0)
_READ = 65_536


class End(StrEnum):
    """What happens to a connection when enough bytes have passed."""

    NONE = "none"
    STALL = "stall"  # nothing passes for `seconds`, then all goes on
    SWALLOW = "swallow"  # everything is taken and nothing passed on; neither side is told, not even of an end
    RESET = "reset"  # both sides are reset
    CLOSE = "close"  # both sides are closed in an orderly way
    HALF = "half"  # the receiving side is told that nothing more comes; the other side is not


class Toxic(NamedTuple):
    """What happens to one direction.

    Every read is late by `latency` seconds and up to `jitter` more. At most `rate` bytes a second pass (0: as they come), in
    pieces of 1, 2, 7, 100 or `piece` bytes (0: whole). After `after[0]` to `after[1]` bytes comes the `end`. `share` of the
    connections are ill.
    """

    latency: float = 0.0
    jitter: float = 0.0
    rate: int = 0
    piece: int = 0
    end: End = End.NONE
    after: tuple[int, int] = (0, 0)
    seconds: float = 0.0
    share: float = 1.0


CLEAN = Toxic()


class ToxicProxy:
    """Listens on `port` and passes on to another one. `up` is what clients send, `down` what they receive."""

    def __init__(self, target: int = 0, *, seed: int = 1) -> None:
        self.target = target
        self.up = self.down = CLEAN
        self._random = Random(seed)
        self._pairs: set[asyncio.Task[None]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    # -- what tests say and ask

    def suffer(self, *, up: Toxic = CLEAN, down: Toxic = CLEAN) -> None:
        """From the next connection on."""
        self.up, self.down = up, down

    @property
    def open(self) -> int:
        """Connections that both sides, or one of them, still hold."""
        return len(self._pairs)

    def cut(self) -> None:
        """Reset everything that is open."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result(10)

    def stop(self) -> None:
        """Listen no more, and reset everything."""
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._listener.close()
        self._loop.close()

    # -- the loop

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, sock=self._listener))
        self._loop.run_forever()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0.01))

    async def _cut(self) -> None:
        pairs = list(self._pairs)
        for pair in pairs:
            pair.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        try:
            await self._pass(reader, writer)
        finally:
            self._pairs.discard(task)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            ends.append(far_writer)
            up = _Direction(reader, far_writer, toxic=self._drawn(self.up), random=self._random)
            down = _Direction(far_reader, writer, toxic=self._drawn(self.down), random=self._random)
            await _first_end(up, down)
            for end in ends:
                end.close()
                with suppress(OSError):
                    await end.wait_closed()
        except (OSError, asyncio.CancelledError):
            for end in ends:
                _reset(end)

    def _drawn(self, toxic: Toxic) -> Toxic:
        return toxic if self._random.random() < toxic.share else CLEAN


class Blackhole:
    """A port where connections are neither accepted nor refused: its queue is full, so the system drops every SYN."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._fillers = [socket.socket() for _ in range(4)]
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))

    def stop(self) -> None:
        """Refuse from now on."""
        for filler in self._fillers:
            filler.close()
        self._listener.close()


class _Direction:
    """What goes one way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, toxic: Toxic, random: Random) -> None:
        self._reader = reader
        self._writer = writer
        self._toxic = toxic
        self._random = random
        self._left = random.randint(*toxic.after) if toxic.end is not End.NONE else -1

    async def run(self) -> bool:
        """Until it ends. Whether both directions end with it. Raises OSError for a reset."""
        while data := await self._reader.read(_READ):
            if self._toxic.latency:
                await asyncio.sleep(self._toxic.latency + self._random.random() * self._toxic.jitter)
            if 0 <= self._left <= len(data):
                await self._write(data[: self._left])
                data = data[self._left :]
                self._left = -1
                if (over := await self._end()) is not None:
                    return over
            elif self._left > 0:
                self._left -= len(data)
            await self._write(data)
        self._writer.write_eof()
        return False

    async def _end(self) -> bool | None:
        """What `run` returns, or None when it goes on."""
        match self._toxic.end:
            case End.STALL:
                await asyncio.sleep(self._toxic.seconds)
                return None
            case End.SWALLOW:
                with suppress(OSError):
                    while await self._reader.read(_READ):
                        pass
                await asyncio.Event().wait()
            case End.RESET:
                raise ConnectionResetError
            case End.HALF:
                self._writer.write_eof()
                return False
        return True

    async def _write(self, data: bytes) -> None:
        for piece in self._pieces(data):
            self._writer.write(piece)
            await self._writer.drain()
            if self._toxic.rate:
                await asyncio.sleep(len(piece) / self._toxic.rate)
            elif self._toxic.piece:
                await asyncio.sleep(0)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        toxic = self._toxic
        sizes = (1, 2, 7, 100, toxic.piece) if toxic.piece else (toxic.rate // 50 + 1 if toxic.rate else len(data),)
        while data:
            size = self._random.choice(sizes)
            yield data[:size]
            data = data[size:]


async def _first_end(up: _Direction, down: _Direction) -> None:
    """Returns when both directions have ended, or one that ends both. Raises OSError when the connection is to be reset."""
    left = {asyncio.ensure_future(up.run()), asyncio.ensure_future(down.run())}
    try:
        while left:
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            over = [task.result() for task in done]
            if any(over):
                return
    finally:
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def _reset(end: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    end.transport.abort()
