"""One run of a closed loop against one proxy: CPU per answer, throughput, latency, memory at the end."""

import resource
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.backends import Server
from tests.benchmarks.contestants import OURS, Started
from tests.benchmarks.figures import Run, UnfitError, per
from tests.benchmarks.loads import Load, Shape, run_load
from tests.benchmarks.ours import tally
from tests.benchmarks.processes import cpu_seconds, resident_mib, spent


class Watched(NamedTuple):
    """A load, what it cost in CPU seconds by part, and how busy it kept the backend and wrk, in shares of a core."""

    load: Load
    cost: dict[str, float]
    values: dict[str, float]


def measure(proxy: Started, shape: Shape, *, seconds: int, server: Server) -> Run:
    """A second to warm up, then the run that counts. Raises UnfitError when the backend got less than was answered."""
    run_load(proxy.port, 1, shape=shape, folder=proxy.folder)
    before = server.counts()
    load, cost, values = _watch(proxy, shape, seconds=seconds, server=server)
    after = server.counts()
    arrived = {name: count - before[name] for name, count in after.items()}
    if arrived["requests"] < load.answers or arrived.get("bytes", len(shape.body) * load.answers) < len(shape.body) * load.answers:
        raise UnfitError(f"{proxy.name}: {load.answers} answers, but of their requests only this arrived: {arrived}")
    values["arrived"] = arrived["requests"] / load.answers
    if proxy.name == OURS:
        counted = tally(proxy.folder)
        values["dropped"] = 100 * sum(counted.dropped.values()) / max(1, counted.offered)
    return Run({"cpu": per(cost, load.answers), "memory": resident_mib(proxy.pid)}, values)


def measure_direct(shape: Shape, *, seconds: int, server: Server, folder: Path) -> Run:
    """Without a proxy: what load and backend can do if there is nothing in between."""
    nobody = Started("", server.pid, server.first, folder)
    return Run({}, _watch(nobody, shape, seconds=seconds, server=server).values)


def _watch(proxy: Started, shape: Shape, *, seconds: int, server: Server) -> Watched:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    before, behind = cpu_seconds(proxy.pid), cpu_seconds(server.pid)
    load = run_load(proxy.port, seconds, shape=shape, folder=proxy.folder)
    after, then = cpu_seconds(proxy.pid), cpu_seconds(server.pid)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    wrk = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    busy = {"backend_busy": sum(spent(behind, then).values()) / load.seconds, "load_busy": wrk / load.seconds}
    return Watched(load, spent(before, after), {**busy, **load.values})
