"""One run of a closed loop against one proxy: CPU per answer, throughput, latency, memory at the end."""

import resource
from pathlib import Path

from tests.benchmarks.backends import Server
from tests.benchmarks.contestants import OURS, Started
from tests.benchmarks.figures import Run, per
from tests.benchmarks.loads import Load, Shape, run_load
from tests.benchmarks.ours import tally
from tests.benchmarks.processes import cpu_seconds, resident_mib, spent


class ShortError(Exception):
    """The backend got fewer bytes than the answered requests had."""


def measure(proxy: Started, shape: Shape, *, seconds: int, server: Server) -> Run:
    """A second to warm up, then the run that counts. Raises ShortError."""
    run_load(proxy.port, 1, shape=shape, folder=proxy.folder)
    arrived = _arrived(shape, server)
    load, cost, busy = _watched(proxy.pid, proxy.port, shape=shape, seconds=seconds, server=server, folder=proxy.folder)
    arrived = _arrived(shape, server) - arrived
    if shape.path.startswith("/size/") and arrived < load.answers * len(shape.body):
        raise ShortError(f"{proxy.name}: {load.answers} requests of {len(shape.body)} bytes, and {arrived} bytes arrived")
    values = {**busy, "per_second": load.answers / load.seconds, "p50": load.p50, "p99": load.p99, "bad": float(load.bad)}
    if proxy.name == OURS:
        counted = tally(proxy.folder)
        values["dropped"] = 100 * sum(counted.dropped.values()) / max(1, counted.offered)
    return Run({"cpu": per(cost, load.answers), "memory": resident_mib(proxy.pid)}, values)


def measure_direct(shape: Shape, *, seconds: int, server: Server, folder: Path) -> Run:
    """Without a proxy: what load and backend could do if there were nothing in between."""
    load, _, busy = _watched(server.pid, server.first, shape=shape, seconds=seconds, server=server, folder=folder)
    return Run({}, {**busy, "per_second": load.answers / load.seconds, "p50": load.p50, "p99": load.p99, "bad": float(load.bad)})


def _arrived(shape: Shape, server: Server) -> float:
    return server.counts()["bytes"] if shape.path.startswith("/size/") else 0.0


def _watched(
    pid: int, port: int, *, shape: Shape, seconds: int, server: Server, folder: Path
) -> tuple[Load, dict[str, float], dict[str, float]]:
    """The load, the CPU seconds of `pid` by part, and how busy backend and load were, in shares of a core."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    before, backend = cpu_seconds(pid), cpu_seconds(server.pid)
    load = run_load(port, seconds, shape=shape, folder=folder)
    after, behind = cpu_seconds(pid), cpu_seconds(server.pid)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    wrk = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    busy = {"backend_busy": sum(spent(backend, behind).values()) / load.seconds, "load_busy": wrk / load.seconds}
    return load, spent(before, after), busy
