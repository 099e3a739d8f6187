"""Asks at fixed times, whatever the answers do: an open loop, which sees what a closed one hides (coordinated omission).

    python -m tests.benchmarks.generator --port PORT --rate PER_SECOND --seconds S [--connections N]

Request i is due at start + i / rate. Its latency counts from then, also when no connection was free and it was sent later.
One thread, sockets and epoll: an event loop costs more, and its timers count in milliseconds. One line of JSON says what came.
"""

import argparse
import gc
import json
import math
import os
import select
import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.benchmarks.loads import SMALL

CONNECTIONS = 64
GRACE = 3.0  # seconds for the last answers
_HEAD = b"POST /x HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
SMALL_REQUEST = _HEAD % len(SMALL) + SMALL
SMALL_END = b'"id":"c0ffee"}'  # the last bytes of every small answer


def take_precedence() -> None:
    """Wake to the microsecond, not up to 50 of them later, and before others who want the CPU: clients have their own machines.

    Where the system does not allow it the requests go out later, and the figures say how much.
    """
    with suppress(OSError):
        Path("/proc/self/timerslack_ns").write_text("1")
        os.setpriority(os.PRIO_PROCESS, 0, -10)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed (nearest rank), or 0 when there is none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


class Generator:
    """One run. `latencies` are seconds; `late` is how long after its time a request went out although a connection was free."""

    def __init__(self, port: int, *, rate: float, seconds: float, connections: int) -> None:
        self._gap = 1 / rate
        self.total = int(rate * seconds)
        self.latencies: list[float] = []
        self.late: list[float] = []
        self.failed = 0
        self._sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
        self._free = deque(self._sockets)
        self._open = {one.fileno(): one for one in self._sockets}
        self._asked: dict[int, float] = {}  # when the request on a connection was due
        self._rest: dict[int, bytes] = {}
        self._waiting: deque[float] = deque()
        self._epoll = select.epoll()
        for one in self._sockets:
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._epoll.register(one.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Until every answer is there or the time is over. What has not come by then has taken at least so long."""
        clock = time.perf_counter
        start = clock() + 0.01
        end = start + self.total * self._gap + GRACE
        sent = 0
        due = start
        while len(self.latencies) + self.failed < self.total and self._open:
            now = clock()
            while sent < self.total and due <= now:
                self._ask(due, now)
                sent += 1
                due = start + sent * self._gap
                now = clock()
            if now > end:
                break
            if sent == self.total or due > now:
                # select, because it takes microseconds where epoll takes milliseconds
                select.select((self._epoll,), (), (), (due if sent < self.total else end) - now)
            for number, _ in self._epoll.poll(0):
                self._read(number, clock())
        self._give_up(clock())

    def _give_up(self, now: float) -> None:
        unanswered = [*self._asked.values(), *self._waiting]
        self.failed += self.total - len(self.latencies) - self.failed
        self.latencies += [now - due for due in unanswered]
        for one in self._sockets:
            one.close()

    def _ask(self, due: float, now: float) -> None:
        if self._free:
            self.late.append(now - due)
            self._send(self._free.popleft(), due)
        else:
            self._waiting.append(due)

    def _send(self, one: socket.socket, due: float) -> None:
        self._asked[one.fileno()] = due
        with suppress(OSError):  # its end is read next, and counted
            one.send(SMALL_REQUEST)

    def _read(self, number: int, now: float) -> None:
        one = self._open[number]
        try:
            data = one.recv(65_536)
        except OSError:
            data = b""
        if not data:
            self._lose(number)
            return
        if self._rest:
            data = self._rest.pop(number, b"") + data
        if not data.endswith(SMALL_END):
            self._rest[number] = data
            return
        due = self._asked.pop(number)
        if data.startswith(b"HTTP/1.1 200"):
            self.latencies.append(now - due)
        else:
            self.failed += 1
        if self._waiting:
            self._send(one, self._waiting.popleft())
        else:
            self._free.append(one)

    def _lose(self, number: int) -> None:
        """A connection that ended is not opened again: the run is spoilt, and says so."""
        self._epoll.unregister(number)
        one = self._open.pop(number)
        self.failed += self._asked.pop(number, None) is not None
        if one in self._free:
            self._free.remove(one)


def told(generator: Generator, seconds: float, *, busy: float) -> Mapping[str, float]:
    """Latency and lateness in microseconds."""
    ordered = sorted(generator.latencies)
    return {
        "asked": generator.total,
        "per_second": (generator.total - generator.failed) / seconds,
        "failed": generator.failed,
        "p50": percentile(ordered, 0.5) * 1e6,
        "p99": percentile(ordered, 0.99) * 1e6,
        "p999": percentile(ordered, 0.999) * 1e6,
        "late": percentile(sorted(generator.late), 0.99) * 1e6,
        "busy": busy,
    }


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, default=CONNECTIONS)
    asked = parser.parse_args()
    generator = Generator(asked.port, rate=asked.rate, seconds=asked.seconds, connections=asked.connections)
    take_precedence()
    gc.disable()
    started, used = time.perf_counter(), time.process_time()
    generator.run()
    seconds = time.perf_counter() - started
    print(json.dumps(told(generator, seconds, busy=(time.process_time() - used) / seconds)))


if __name__ == "__main__":
    main()
