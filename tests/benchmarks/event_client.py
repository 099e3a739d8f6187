"""Reads event streams, as many at a time as it is told, and says how the events came: one line of JSON.

    python -m tests.benchmarks.event_client --port PORT [--beside PORT] --streams N --events N --gap MICROSECONDS

With `--beside` each stream has a twin at the other port at the same time: the delays of both are told. A delay is the time from
the moment the server stamped an event until it is read here.
"""

import argparse
import asyncio
import json
import re
import statistics
import time
from collections.abc import Mapping
from typing import cast

import uvloop

_STAMP = re.compile(rb"@\d+ (\d+) ")
_LONGEST_EVENT = 128
_END = b"\r\n0\r\n\r\n"
_PATIENCE = 60.0


class Reader(asyncio.Protocol):
    """One stream. It is over when all events and the last chunk are there."""

    def __init__(self, path: str, events: int, *, timed: bool) -> None:
        self._request = f"GET {path} HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n".encode()
        self._wanted = events
        self._timed = timed
        self._rest = b""
        self._tail = b""
        self.status = b""
        self.events = 0
        self.reads = 0
        self.delays: list[int] = []
        self.over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic_ns()
        self.reads += 1
        self.status = self.status or data[:12]
        self.events += data.count(b"@")
        if self._timed:
            self._time(self._rest + data, now)
        if self.events >= self._wanted or self._tail:
            self._tail = (self._tail + data)[-len(_END) :]
            if self._tail == _END:
                self._transport.close()

    def _time(self, data: bytes, now: int) -> None:
        end = 0
        for found in _STAMP.finditer(data):
            self.delays.append(now - int(found[1]))
            end = found.end()
        self._rest = data[end:][-_LONGEST_EVENT:]

    def connection_lost(self, error: Exception | None) -> None:
        self.over.set_result(None)

    @property
    def whole(self) -> bool:
        """Whether every event came, and the end."""
        return self.status == b"HTTP/1.1 200" and self.events == self._wanted and self._tail == _END


async def read_streams(ports: list[int], count: int, *, events: int, gap: int) -> list[list[Reader]]:
    """`count` streams at each port, all at the same time. Raises TimeoutError when they do not end."""
    loop = asyncio.get_running_loop()
    path = f"/events/{events}/{gap}"
    readers: list[list[Reader]] = [[] for _ in ports]
    for number in range(count * len(ports)):
        which = number % len(ports)
        _, reader = await loop.create_connection(lambda: Reader(path, events, timed=bool(gap)), "127.0.0.1", ports[which])
        readers[which].append(reader)
    async with asyncio.timeout(_PATIENCE):
        await asyncio.gather(*(reader.over for group in readers for reader in group))
    return readers


def told(readers: list[Reader], seconds: float, *, busy: float) -> Mapping[str, float]:
    """What came at one port. Delays in microseconds."""
    delays = sorted(delay for reader in readers for delay in reader.delays)
    return {
        "events": sum(reader.events for reader in readers),
        "reads": sum(reader.reads for reader in readers),
        "cut": sum(not reader.whole for reader in readers),
        "seconds": seconds,
        "p50": statistics.median(delays) / 1e3 if delays else 0.0,
        "p99": delays[len(delays) * 99 // 100] / 1e3 if delays else 0.0,
        "busy": busy,
    }


async def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("port", "beside", "streams", "events", "gap"):
        parser.add_argument(f"--{name}", type=int, default=0)
    asked = parser.parse_args()
    ports = [port for port in (asked.port, asked.beside) if port]
    started, used = time.monotonic(), time.process_time()
    groups = await read_streams(ports, asked.streams, events=asked.events, gap=asked.gap)
    seconds = time.monotonic() - started
    busy = (time.process_time() - used) / seconds
    print(json.dumps([told(group, seconds, busy=busy) for group in groups]))


if __name__ == "__main__":
    uvloop.run(main())
