"""Event streams through one proxy: what an event costs, and how much later it comes than on a direct connection.

- paced: 32 streams, an event every 2 ms on each, so that where there is CPU to spare each event is a read and a write;
- flood: 32 streams as fast as they are taken; a proxy that falls behind finds many events in one read;
- delay: 8 streams through the proxy and 8 direct ones at the same time, an event every 20 ms on each.
"""

import json
import subprocess
import sys

from tests.benchmarks.backends import Server
from tests.benchmarks.contestants import OURS, Started
from tests.benchmarks.figures import Run, UnfitError, per
from tests.benchmarks.ours import tally
from tests.benchmarks.processes import ROOT, cpu_seconds, resident_mib, spent

STREAMS, GAP = 32, 2_000
FLOOD = 2_000
FEW, SLOW_GAP = 8, 20_000
Told = dict[str, float]


def _read(port: int, *, streams: int, events: int, gap: int, beside: int = 0) -> list[Told]:
    """What event_client says. Raises UnfitError."""
    asked = {"port": port, "beside": beside, "streams": streams, "events": events, "gap": gap}
    words = [word for name, value in asked.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "tests.benchmarks.event_client", *words]
    text = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found: list[Told] = json.loads(text)
    for told in found:
        if told["cut"] or told["events"] != streams * events:
            raise UnfitError(
                f"{told['cut']:.0f} of {streams} streams of {events} events were not whole: {told['events']:.0f} events came"
            )
    return found


def _costed(pid: int, port: int, *, events: int, gap: int) -> tuple[Told, dict[str, float]]:
    before = cpu_seconds(pid)
    (told,) = _read(port, streams=STREAMS, events=events, gap=gap)
    return told, per(spent(before, cpu_seconds(pid)), told["events"])


def measure(proxy: Started, *, seconds: int, server: Server) -> Run:
    """Raises UnfitError."""
    paced, cost = _costed(proxy.pid, proxy.port, events=seconds * 1_000_000 // GAP, gap=GAP)
    memory = resident_mib(proxy.pid)
    flood, flood_cost = _costed(proxy.pid, proxy.port, events=FLOOD, gap=0)
    through, direct = _read(proxy.port, streams=FEW, events=seconds * 1_000_000 // SLOW_GAP, gap=SLOW_GAP, beside=server.first)
    values = {
        "per_read": flood["events"] / flood["reads"],
        "paced_per_read": paced["events"] / paced["reads"],
        "per_second": flood["events"] / flood["seconds"],
        "added50": through["p50"] - direct["p50"],
        "added99": through["p99"] - direct["p99"],
        "direct50": direct["p50"],
        "load_busy": paced["busy"],
    }
    if proxy.name == OURS:
        counted = tally(proxy.folder)
        values["dropped"] = 100 * sum(counted.dropped.values()) / max(1, counted.offered)
    return Run({"cpu": cost, "flood": flood_cost, "memory": memory}, values)


def measure_direct(server: Server) -> Run:
    """The flood without a proxy."""
    (flood,) = _read(server.first, streams=STREAMS, events=FLOOD, gap=0)
    return Run({}, {"per_second": flood["events"] / flood["seconds"], "per_read": flood["events"] / flood["reads"]})
