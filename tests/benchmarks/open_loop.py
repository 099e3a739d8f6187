"""Latency of small requests at fixed rates, counted from the moment each was due. The rates are shares of our own saturation."""

import json
import subprocess
import sys

from tests.benchmarks.figures import Run
from tests.benchmarks.processes import ROOT

SHARES = (20, 50, 80)  # per cent
_FASTER_THAN_ANYTHING = 1_000_000.0


def ask(port: int, rate: float, *, seconds: float) -> dict[str, float]:
    """What generator.py says."""
    words = ["--port", str(port), "--rate", f"{rate:.0f}", "--seconds", f"{seconds:g}"]
    command = [sys.executable, "-m", "tests.benchmarks.generator", *words]
    found: dict[str, float] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout)
    return found


def measure(port: int, saturation: float, *, seconds: int) -> Run:
    """A second to warm up, then each rate from low to high."""
    ask(port, saturation * SHARES[0] / 100, seconds=1)
    values: dict[str, float] = {}
    for share in SHARES:
        told = ask(port, saturation * share / 100, seconds=seconds)
        values |= {f"{name}@{share}": value for name, value in told.items()}
    return Run({}, values)


def limit(port: int) -> float:
    """How many requests a second the generator itself brings forth, without a proxy."""
    return ask(port, _FASTER_THAN_ANYTHING, seconds=0.1)["per_second"]
