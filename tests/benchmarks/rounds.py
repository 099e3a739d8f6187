"""The order of a whole comparison: rounds of the workloads that are compared within a round, then what is measured once."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.benchmarks import closed_loop, memory, open_loop, sse
from tests.benchmarks.backends import Backends, Server, backends
from tests.benchmarks.contestants import OURS, started
from tests.benchmarks.figures import Run, UnfitError, middle
from tests.benchmarks.loads import SMALL, Shape, sized
from tests.benchmarks.processes import EndedError
from tests.benchmarks.proxies import PEERS, Plan, present
from tests.benchmarks.recording import Costs, read_costs

WORKLOADS = ("small", "mirror", "64k", "1m", "sse", "open", "memory", "recorder")
DIRECT = "direct"
_ONCE = ("open", "memory", "recorder")
_FEW = 16  # connections for bodies of 1 MiB: more would only fill the kernel's buffers


class Bench(NamedTuple):
    """How much is measured, and where files may be."""

    folder: Path
    rounds: int
    seconds: int
    connections: int


class Results(NamedTuple):
    """Runs by workload and contestant, what load and backends do without a proxy, single figures by name, the recorder's costs.

    `unfit` has by workload and contestant why each failed run did; who failed once has no runs in that workload.
    """

    runs: dict[str, dict[str, list[Run]]]
    direct: dict[str, Run]
    single: dict[str, float]
    recorder: Costs
    unfit: dict[str, dict[str, list[str]]]

    def add(self, workload: str, name: str, *, run: Run) -> None:
        """One more run."""
        if name not in self.unfit.get(workload, {}):
            self.runs.setdefault(workload, {}).setdefault(name, []).append(run)

    @contextmanager
    def attempt(self, workload: str, name: str) -> Iterator[None]:
        """What one contestant does in one workload. When a peer does not pass all on, or ends, that is a failed run of it and the
        others go on; ours must not."""
        try:
            yield
        except (UnfitError, EndedError) as error:
            if name == OURS:
                raise
            self.unfit.setdefault(workload, {}).setdefault(name, []).append(str(error))
            self.runs.get(workload, {}).pop(name, None)
            say(f"failed: {error}")

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        runs = {workload: {name: [run._asdict() for run in one] for name, one in by.items()} for workload, by in self.runs.items()}
        return {
            "runs": runs,
            "direct": {name: run.values for name, run in self.direct.items()},
            **self.single,
            "recorder": self.recorder,
            "unfit": self.unfit,
        }


class Comparison:
    """One comparison with its backends running."""

    def __init__(self, bench: Bench, behind: Backends) -> None:
        self._bench = bench
        self._behind = behind
        small = Shape("/x", SMALL, 73, bench.connections)
        self._shapes = {"small": small, "mirror": small, "64k": sized(65_536, bench.connections), "1m": sized(1_048_576, _FEW)}
        self.results = Results({}, {}, {}, {}, {})

    def plan(self, workload: str) -> Plan:
        """What a proxy is to do in a workload."""
        server = self._server(workload)
        sizes = workload in ("64k", "1m")
        return Plan(workload, server.first, server.second, mirror=workload == "mirror", large=sizes, stream=workload == "sse")

    def _server(self, workload: str) -> Server:
        return self._behind.large if workload in ("64k", "1m", "sse") else self._behind.small

    def direct(self, workload: str) -> None:
        """How far load and backend go by themselves."""
        server, seconds = self._server(workload), self._bench.seconds
        if workload == "sse":
            run = sse.measure_direct(server)
        else:
            run = closed_loop.measure_direct(self._shapes[workload], seconds=seconds, server=server, folder=self._bench.folder)
        self.results.direct[workload] = run

    def round(self, workload: str) -> None:
        """Everybody once."""
        server, seconds = self._server(workload), self._bench.seconds
        for name in contestants(workload):
            with self.results.attempt(workload, name), started(name, self.plan(workload), folder=self._bench.folder) as proxy:
                if workload == "sse":
                    run = sse.measure(proxy, seconds=seconds, server=server)
                else:
                    run = closed_loop.measure(proxy, self._shapes[workload], seconds=seconds, server=server)
                self.results.add(workload, name, run=run)
                say(f"{workload}: {name}: {run.measure('cpu'):.1f} µs")

    def open(self) -> None:
        """Everybody at the same rates."""
        seconds = self._bench.seconds
        saturation = self._saturation()
        self.results.single["saturation"] = saturation
        self.results.single["generator"] = open_loop.limit(self._behind.small.first)
        for name in contestants("open"):
            with self.results.attempt("open", name), started(name, self.plan("open"), folder=self._bench.folder) as proxy:
                self.results.add("open", name, run=open_loop.measure(proxy.port, saturation, seconds=seconds))
                say(f"open: {name}")
        direct = open_loop.measure(self._behind.small.first, saturation, seconds=seconds)
        self.results.add("open", DIRECT, run=direct)

    def _saturation(self) -> float:
        """Requests a second of our router in the closed loop of this run."""
        known = self.results.runs.get("small", {}).get(OURS)
        if known is None:
            with started(OURS, self.plan("small"), folder=self._bench.folder) as proxy:
                known = [closed_loop.measure(proxy, self._shapes["small"], seconds=self._bench.seconds, server=self._behind.small)]
        return middle(known, "per_second")

    def memory(self) -> None:
        """Everybody twice: what a load leaves behind would hide what connections need."""
        for name in contestants("memory"):
            with self.results.attempt("memory", name):
                self.results.add("memory", name, run=self._memory_of(name))
                say(f"memory: {name}")

    def _memory_of(self, name: str) -> Run:
        with started(name, self.plan("memory"), folder=self._bench.folder) as proxy:
            found = memory.measure_idle(proxy)
        with started(name, self.plan("memory"), folder=self._bench.folder) as proxy:
            load = closed_loop.measure(proxy, self._shapes["small"], seconds=self._bench.seconds, server=self._behind.small)
        return Run({**found, "loaded": load.parts["memory"]}, {})

    def recorder(self) -> None:
        """What the recorder alone costs, in a process of its own."""
        costs = self._bench.folder / "recorder.json"
        subprocess.run([sys.executable, "-m", "tests.benchmarks.recording", "--json", str(costs)], check=True, stdout=sys.stderr)
        self.results.recorder.update(read_costs(costs))


def contestants(workload: str) -> list[str]:
    """Who takes part, ours last."""
    return [name for name in present() if workload != "mirror" or PEERS[name].mirrors] + [OURS]


def say(what: str) -> None:
    """Progress, on standard error."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def run_all(bench: Bench, workloads: Sequence[str]) -> Results:
    """All of `workloads`."""
    with backends(bench.folder) as behind:
        comparison = Comparison(bench, behind)
        compared = [workload for workload in workloads if workload not in _ONCE]
        for workload in compared:
            comparison.direct(workload)
        for _ in range(bench.rounds):
            for workload in compared:
                comparison.round(workload)
        if "open" in workloads:
            comparison.open()
        if "memory" in workloads:
            comparison.memory()
        if "recorder" in workloads:
            comparison.recorder()
        return comparison.results
