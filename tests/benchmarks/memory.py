"""Resident memory of one proxy: idle, with a thousand idle connections, and after a load."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.benchmarks.contestants import Started
from tests.benchmarks.figures import UnfitError
from tests.benchmarks.generator import SMALL_END, SMALL_REQUEST
from tests.benchmarks.processes import resident_mib

CONNECTIONS = 1_000
_SETTLE = 0.5


@contextmanager
def idle_connections(port: int, count: int) -> Iterator[None]:
    """So many connections that have had one answer each and stay. Raises UnfitError."""
    with ExitStack() as stack:
        for _ in range(count):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            one.sendall(SMALL_REQUEST)
            data = b""
            while not data.endswith(SMALL_END):
                more = one.recv(65_536)
                if not more:
                    raise UnfitError(f"a connection was closed: {data!r}")
                data += more
        yield


def measure_idle(proxy: Started) -> dict[str, dict[str, float]]:
    """Memory by part: `idle` in MiB, `connection` in KiB for each idle connection."""
    time.sleep(_SETTLE)
    idle = resident_mib(proxy.pid)
    with idle_connections(proxy.port, CONNECTIONS):
        time.sleep(_SETTLE)
        held = resident_mib(proxy.pid)
    return {"idle": idle, "connection": {part: (size - idle.get(part, 0.0)) * 1024 / CONNECTIONS for part, size in held.items()}}
