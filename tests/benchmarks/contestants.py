"""Who takes part, started for a plan and found to answer whole and true before anything is measured."""

import hashlib
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.benchmarks.figures import UnfitError
from tests.benchmarks.loads import SMALL
from tests.benchmarks.model_server import document
from tests.benchmarks.ours import modelctl
from tests.benchmarks.processes import running, wait_for
from tests.benchmarks.proxies import PEERS, Plan
from tests.ports import free_port

OURS = "modelctl"
_READY_SECONDS = 20.0
_EVENT = re.compile(rb"data: @(\d+) \d+ and the next token of a long answer\n\n")


class Started(NamedTuple):
    """A proxy that runs."""

    name: str
    pid: int
    port: int
    folder: Path


@contextmanager
def started(name: str, plan: Plan, *, folder: Path) -> Iterator[Started]:
    """One proxy with a folder of its own below `folder`. Raises UnfitError."""
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as own:
        port, home = free_port(), Path(own)
        command = [] if name == OURS else PEERS[name].command(plan, port, folder=home)
        with running(command, port) if command else modelctl(plan, port, folder=home) as pid:
            wait_for(port)
            check(port, plan, name=name)
            yield Started(name, pid, port, home)


def check(port: int, plan: Plan, *, name: str) -> None:
    """Raises UnfitError, with the contestant and the load, unless small requests, or bodies and event streams, pass through as they
    are."""
    try:
        _check(port, plan)
    except (UnfitError, httpx.HTTPError) as error:
        raise UnfitError(f"{name}, {plan.name}: {error}") from error


def _check(port: int, plan: Plan) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        deadline = time.monotonic() + _READY_SECONDS
        while (answer := client.post("/digest", content=SMALL)).status_code in (404, 503) and time.monotonic() < deadline:
            time.sleep(0.02)  # the routing table is on its way
        if answer.status_code != 200:
            raise UnfitError(f"answer {answer.status_code}: {answer.text[:200]}")
        if plan.large or plan.stream:
            _check_bodies(client)
            _check_events(client)
        elif not answer.content.endswith(b'"id":"c0ffee"}'):
            raise UnfitError(f"a small answer is not whole: {answer.text[:200]}")


def _check_bodies(client: httpx.Client) -> None:
    for size in (65_536, 1_048_576):
        body = document(size)
        if client.post("/digest", content=body).text != hashlib.sha256(body).hexdigest():
            raise UnfitError(f"{size} bytes did not arrive as they were sent")
        if client.post(f"/size/{size}", content=body).content != body:
            raise UnfitError(f"{size} bytes did not come back as they were sent")


def _check_events(client: httpx.Client) -> None:
    stream = client.get("/events/50/1000").raise_for_status().content
    if [int(found[1]) for found in _EVENT.finditer(stream)] != list(range(50)) or _EVENT.sub(b"", stream):
        raise UnfitError(f"50 events did not come as they were sent: {stream[:200]!r}")
