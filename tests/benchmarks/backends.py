"""The servers behind the proxies, fast enough never to be what is measured: nginx for small answers, our own for large ones."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.benchmarks.figures import UnfitError
from tests.benchmarks.processes import running, wait_for
from tests.ports import free_port

_SMALL = """
worker_processes 1; daemon off; pid {folder}/backend.pid; error_log {folder}/backend.err; events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/backend-body;
{servers} }}
"""
_SERVER = """server {{ listen 127.0.0.1:{port} backlog=4096; location = /counts {{ stub_status; }}
  location / {{ default_type application/json;
  return 200 '{{"model":"{name}","predictions":[0.1234567,0.2345678,0.6419755],"id":"c0ffee"}}'; }} }}
"""


class Server(NamedTuple):
    """Two ports of one process tree."""

    first: int
    second: int
    pid: int

    def counts(self) -> dict[str, float]:
        """What has arrived: `requests` and, at the model server, `bytes` of bodies. Raises UnfitError when it does not say."""
        try:
            said = httpx.get(f"http://127.0.0.1:{self.first}/counts", timeout=20).raise_for_status()
        except httpx.HTTPError as error:
            raise UnfitError(f"the backend at port {self.first} does not say what arrived: {error}") from error
        if said.headers["content-type"] == "application/json":
            return dict(said.json())
        return {"requests": float(said.text.split()[9])}  # stub_status: accepted, handled, requests


class Backends(NamedTuple):
    """nginx, and the model server."""

    small: Server
    large: Server


@contextmanager
def backends(folder: Path) -> Iterator[Backends]:
    """Both, running."""
    ports = [free_port() for _ in range(4)]
    file = folder / "backend.conf"
    servers = "".join(_SERVER.format(name=name, port=port) for name, port in zip("ab", ports[:2], strict=True))
    file.write_text(_SMALL.format(folder=folder, servers=servers))
    model_server = [sys.executable, "-m", "tests.benchmarks.model_server", str(ports[2]), str(ports[3])]
    with running(["nginx", "-p", str(folder), "-c", str(file)], ports[0]) as small, running(model_server, ports[2]) as large:
        wait_for(ports[3])
        yield Backends(Server(ports[0], ports[1], small), Server(ports[2], ports[3], large))
