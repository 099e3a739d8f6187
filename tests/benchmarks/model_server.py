"""A model server with large answers and event streams that costs little more than the kernel's copying.

    python -m tests.benchmarks.model_server PORT PORT

It listens on both ports, reads a request whole before it answers, and takes nothing for granted: a body whose length is not that
of its path is answered 400.

    POST /size/N      N bytes of JSON, for N bytes of any
    POST /digest      the SHA-256 of the body, in hex
    GET /events/N/G   N events, each in a chunk and a write of its own, G microseconds apart; 0 is as fast as they are taken
    GET /counts       how many requests, body bytes and events there were, and the CPU seconds they cost
"""

import asyncio
import hashlib
import json
import re
import sys
import time
from functools import cache
from typing import cast

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_MAX_HEAD = 65_536
_buffer = memoryview(bytearray(1 << 20))  # of every connection: what is read is looked at before the next read

counts = {"requests": 0, "bytes": 0, "events": 0}


def document(size: int) -> bytes:
    """JSON of exactly `size` bytes: numbers, as models send and get them."""
    body = b'{"predictions":[' + b"0.1234567," * ((size - 20) // 10) + b"1]}"
    return body + b" " * (size - len(body))


def answer(body: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer."""
    return b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def event(number: int) -> bytes:
    """One event, with the time it was sent (the monotonic clock, in nanoseconds), which is the same for all processes."""
    return b"data: @%d %d and the next token of a long answer\n\n" % (number, time.monotonic_ns())


@cache
def _sized(size: int) -> bytes:
    return answer(document(size))


class Stream:
    """The events of one answer. It waits while the kernel has no room, so each event is a write of its own."""

    def __init__(self, transport: asyncio.Transport, total: int, *, gap: float) -> None:
        self._transport = transport
        self._total = total
        self._gap = gap
        self._sent = 0
        self._due = asyncio.get_running_loop().time()
        self._late = False
        self.paused = False

    def step(self) -> None:
        """Send one event and come back for the next."""
        self._late = self.paused
        if self.paused or self._transport.is_closing():
            return
        if self._sent == self._total:
            self._transport.write(b"0\r\n\r\n")
            return
        data = event(self._sent)
        self._sent += 1
        counts["events"] += 1
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        loop = asyncio.get_running_loop()
        if self._gap:
            self._due += self._gap
            loop.call_at(self._due, self.step)
        else:
            loop.call_soon(self.step)

    def resume(self) -> None:
        """There is room again."""
        self.paused = False
        if self._late:
            asyncio.get_running_loop().call_soon(self.step)


class Connection(asyncio.BufferedProtocol):
    """One connection of a proxy, which never sends a request before it has the answer to the one before."""

    _transport: asyncio.Transport
    _stream: Stream | None = None
    _path = b""
    _length = 0
    _left = 0

    def __init__(self) -> None:
        self._raw = b""
        self._digest = hashlib.sha256()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=0)

    def get_buffer(self, sizehint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._left:
            self._on_body(_buffer[:nbytes])
            return
        self._raw += bytes(_buffer[:nbytes])
        end = self._raw.find(b"\r\n\r\n")
        if end >= 0:
            self._on_head(self._raw[: end + 4], rest=self._raw[end + 4 :])
        elif len(self._raw) > _MAX_HEAD:
            self._transport.abort()

    def _on_head(self, head: bytes, *, rest: bytes) -> None:
        self._raw = b""
        self._path = head.split(b" ", 2)[1]
        found = _LENGTH.search(head)
        self._length = self._left = int(found[1]) if found else 0
        self._digest = hashlib.sha256()
        if rest:
            self._on_body(memoryview(rest))
        elif not self._left:
            self._answer()

    def _on_body(self, data: memoryview) -> None:
        self._left -= len(data)
        counts["bytes"] += len(data)
        if self._path == b"/digest":
            self._digest.update(data)
        if self._left < 0:
            self._transport.abort()  # more than was announced
        elif not self._left:
            self._answer()

    def _answer(self) -> None:
        kind, _, rest = self._path[1:].partition(b"/")
        counts["requests"] += kind == b"size"
        if kind == b"events":
            total, gap = rest.split(b"/")
            self._transport.write(_EVENTS)
            self._stream = Stream(self._transport, int(total), gap=int(gap) / 1e6)
            self._stream.step()
        elif kind == b"counts":
            self._transport.write(answer(json.dumps({**counts, "cpu": time.process_time()}).encode()))
        elif kind == b"digest":
            self._transport.write(answer(self._digest.hexdigest().encode()))
        elif kind == b"size" and int(rest) == self._length:
            self._transport.write(_sized(self._length))
        else:
            self._transport.write(answer(b"{}", b"400 Bad Request"))

    def pause_writing(self) -> None:
        if self._stream is not None:
            self._stream.paused = True

    def resume_writing(self) -> None:
        if self._stream is not None:
            self._stream.resume()


async def serve(ports: list[int]) -> None:
    """Until it is killed."""
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Connection, "127.0.0.1", port, backlog=4096) for port in ports]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    uvloop.run(serve([int(port) for port in sys.argv[1:]]))
