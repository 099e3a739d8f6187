"""modelctl as its users run it: `modelctl serve` with control plane, recorder and one router worker, every guard and record on."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from modelctl.errors import Corrupt
from modelctl.evidence import HEADER, SEGMENT_SUFFIX, Tally, decode, frames
from tests.benchmarks.processes import running
from tests.benchmarks.proxies import Plan
from tests.ports import free_port

ROUTER = "modelctl.router"
_LONGEST_TALLY = 1_024


@contextmanager
def modelctl(plan: Plan, port: int, *, folder: Path) -> Iterator[int]:
    """The whole program with the route, its two backends and a rollout that is what `plan` says. Its data is in `folder`."""
    control = free_port()
    names = {"LISTEN": f"127.0.0.1:{port}", "CONTROL": f"127.0.0.1:{control}", "DATA_DIR": str(folder), "WORKERS": "1"}
    environment = {f"MODELCTL_{name}": value for name, value in names.items()}
    with running([sys.executable, "-m", "modelctl.supervisor"], control, environment) as pid:
        with httpx.Client(base_url=f"http://127.0.0.1:{control}", timeout=30) as api:
            for name, target in (("a", plan.first), ("b", plan.second)):
                api.post("/v1/backends", json={"name": name, "endpoints": [f"http://127.0.0.1:{target}"]}).raise_for_status()
            api.post("/v1/routes", json={"name": "bench", "path": "/", "baseline": "a"}).raise_for_status()
            wanted = {"strategy": "canary", "parameters": {"percent_bp": 500}}
            if plan.mirror:
                wanted = {"strategy": "shadow", "parameters": {"percent_bp": 10_000}}
            api.post("/v1/rollouts", json={"route": "bench", "candidates": ["b"], **wanted}).raise_for_status()
        yield pid


def tally(folder: Path) -> Tally:
    """What the router has offered to its spool and what of it was dropped, as the spool itself says now."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        segments = sorted((path for path in folder.glob(f"spool/*/*{SEGMENT_SUFFIX}") if path.stat().st_size), reverse=True)
        for segment in segments[:1]:
            found = _last_tally(segment)
            if found is not None:
                return found
        time.sleep(0.01)  # a batch is being written
    return Tally(0, 0, {})


def _last_tally(segment: Path) -> Tally | None:
    """Every batch ends with a tally, so the last frame of a segment is one. Its start is not known: it is tried for."""
    with segment.open("rb") as file:
        file.seek(max(0, segment.stat().st_size - _LONGEST_TALLY))
        tail = file.read()
    for start in range(len(tail) - HEADER.size, -1, -1):
        with suppress(Corrupt):
            for found in frames(tail, start):
                if found.end == len(tail) and isinstance(record := decode(found.payload), Tally):
                    return record
    return None
