"""Closed loops: wrk keeps so many connections busy and counts what comes back, to the byte."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.figures import UnfitError
from tests.benchmarks.model_server import document

SMALL = b'{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'

_KINDS = ("connect", "read", "write", "status", "timeout")
_SCRIPT = """
local file = io.open("%s", "rb")
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.body = file:read("*a")
file:close()
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('{"answers":%%d,"microseconds":%%d,"bytes":%%d,"p50":%%d,"p99":%%d,',
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99)))
  io.write(string.format('"connect":%%d,"read":%%d,"write":%%d,"status":%%d,"timeout":%%d}',
    errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
"""


class Shape(NamedTuple):
    """One kind of request: its path, its body, at least how many bytes its answer has, and how many connections ask."""

    path: str
    body: bytes
    answer: int
    connections: int


def sized(size: int, connections: int) -> Shape:
    """`size` bytes up and `size` bytes down."""
    return Shape(f"/size/{size}", document(size), size, connections)


class Load(NamedTuple):
    """One run. Latency in microseconds. `failed` counts by kind: broken connections, answers that are errors, answers after 2 s."""

    answers: int
    seconds: float
    p50: float
    p99: float
    failed: Mapping[str, float]

    @property
    def values(self) -> dict[str, float]:
        """Its figures by name."""
        failed = {"failed": sum(self.failed.values()), **{f"failed_{kind}": count for kind, count in self.failed.items() if count}}
        return {"per_second": self.answers / self.seconds, "p50": self.p50, "p99": self.p99, **failed}


def run_load(port: int, seconds: float, *, shape: Shape, folder: Path) -> Load:
    """Raises UnfitError when fewer bytes came back than so many whole answers have."""
    script, body = folder / "load.lua", folder / "load.body"
    body.write_bytes(shape.body)
    script.write_text(_SCRIPT % body)
    command = ["wrk", "-t1", f"-c{shape.connections}", f"-d{seconds:g}s", "-s", str(script)]
    command.append(f"http://127.0.0.1:{port}{shape.path}")
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    said = json.loads(text[text.rindex("{") :])
    if said["bytes"] < (said["answers"] - said["status"]) * shape.answer:
        raise UnfitError(f"{said['answers']} answers of {shape.answer} bytes cannot be in {said['bytes']} bytes")
    return Load(said["answers"], said["microseconds"] / 1e6, said["p50"], said["p99"], {kind: said[kind] for kind in _KINDS})
