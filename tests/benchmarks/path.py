"""What the router's own code costs, without sockets: `python -m tests.benchmarks.path [split|mirror] [REQUESTS]`.

The real connections, with transports that swallow what is written. Prints the CPU time of one request: the least of five runs.
For the costliest lines, run it below a sampling profiler on the uncompiled build (delete `modelctl/router/*.so`):
`py-spy record -r 500 -f raw -o lines.txt -- python -m tests.benchmarks.path mirror`.
"""

import sys
from collections.abc import Callable
from time import process_time
from typing import Any, cast

from modelctl.router.client import ClientConnection
from modelctl.router.clock import Clock
from modelctl.router.pool import Pool
from modelctl.router.spool import Spool, SpoolWriter
from modelctl.router.upstream import Upstream
from modelctl.router.worker import Worker
from modelctl.settings import Settings
from modelctl.traffic import Arm, Backend, Role, Route, RoutingTable

BODY = b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'
REQUEST = (
    b"POST /x HTTP/1.1\r\nHost: 127.0.0.1:9501\r\ncontent-type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 00:31:18 GMT\r\nContent-Type: application/json\r\n"
    b'Content-Length: 73\r\nConnection: keep-alive\r\n\r\n{"model":"a","predictions":[0.1234567,0.2345678,0.6419755],"id":"c0ffee"}'
)
ARMS = {
    "split": (
        Arm(backend="a", role=Role.BASELINE, answers=9_500),
        Arm(backend="b", role=Role.CANDIDATE, answers=500),
    ),
    "mirror": (
        Arm(backend="a", role=Role.BASELINE, answers=10_000),
        Arm(backend="b", role=Role.CANDIDATE, shown=10_000),
    ),
}


class Nowhere:
    """A transport that takes everything."""

    def __getattr__(self, name: str) -> Callable[..., tuple[str, int]]:
        return self._swallow

    def is_closing(self) -> bool:
        """Never."""
        return False

    def _swallow(self, *given: object, **named: object) -> tuple[str, int]:
        return "127.0.0.1", 1


class Unwritten:
    """A spool's writer that forgets what it is given."""

    backlog = 0
    dropped_known = 0

    def put(self, batch: object) -> None:
        """Forget it."""


class Path:
    """One client connection, and one connection to each backend."""

    def __init__(self, arms: tuple[Arm, ...]) -> None:
        backends = tuple(Backend(name=name, endpoints=(f"http://127.0.0.1:{port}",)) for name, port in (("a", 9_401), ("b", 9_402)))
        table = RoutingTable(version=1, backends=backends, routes=(Route(name="r", arms=arms, rollout=1, stage=1),))
        self.spool = Spool(cast("SpoolWriter", Unwritten()), lambda seconds, callback: None, max_bytes=1 << 30)
        worker = Worker(Settings(), self.spool, clock=Clock(1.0))
        worker.apply(table)
        self.upstreams = [self._connected(pool, worker) for target in worker.targets.every() for pool in target.pools]
        self.client = ClientConnection(worker)
        self.client.connection_made(cast("Any", Nowhere()))

    def _connected(self, pool: Pool, worker: Worker) -> Upstream:
        upstream = Upstream(pool, worker.clock, timeouts=(60.0, 300.0))
        upstream.connection_made(cast("Any", Nowhere()))
        pool.idle.append(upstream)
        return upstream

    def run(self, requests: int) -> None:
        """Ask and answer so many times."""
        for number in range(requests):
            self.client.data_received(REQUEST)
            for upstream in self.upstreams:
                if upstream.leg is not None:
                    upstream.data_received(ANSWER)
            if number % 256 == 0:
                self.spool.flush()


def main(argv: list[str]) -> None:
    """Print one figure for each kind of traffic asked for."""
    kinds = [kind for kind in ARMS if kind in argv] or list(ARMS)
    requests = next((int(word) for word in argv if word.isdigit()), 20_000)
    for kind in kinds:
        path = Path(ARMS[kind])
        path.run(2_000)
        spent = []
        for _ in range(5):
            before = process_time()
            path.run(requests)
            spent.append(process_time() - before)
        print(f"{kind}: {min(spent) / requests * 1e6:.2f} us a request")


if __name__ == "__main__":
    main(sys.argv[1:])
