"""The proxies we stand beside: how each is configured for a plan, on equal terms.

One worker or thread each, connections to backends kept, no access log, bodies and streams passed on as they come where modelctl
does so, nothing on disk. HAProxy and Caddy have no mirror; nginx and Envoy throw the answer to the copy away.
"""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Plan(NamedTuple):
    """What a proxy is to do: send 95 of 100 requests to the first port and 5 to the second, or (`mirror`) all to the first and a
    copy of each to the second. `large`: bodies are not to be collected; `stream`: nor answers."""

    name: str
    first: int
    second: int
    mirror: bool = False
    large: bool = False
    stream: bool = False


_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.err; events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  proxy_http_version 1.1; proxy_set_header Connection ""; {extra}
  split_clients "${{connection}}${{connection_requests}}" $arm {{ 5% b; * a; }}
  upstream a {{ server 127.0.0.1:{first}; keepalive 200; }}
  upstream b {{ server 127.0.0.1:{second}; keepalive 200; }}
  server {{ listen 127.0.0.1:{port} backlog=4096; {locations} }}
}}
"""
_NGINX_SPLIT = "location / { proxy_pass http://$arm; }"
_NGINX_MIRROR = "location / { mirror /m; proxy_pass http://a; } location = /m { internal; proxy_pass http://b$request_uri; }"
_NGINX_LARGE = "client_max_body_size 0; proxy_request_buffering off; proxy_max_temp_file_size 0;"

_HAPROXY = """
global
 nbthread 1
 maxconn 4096
defaults
 mode http{extra}
 timeout connect 5s
 timeout client 30s
 timeout server 30s
frontend f
 bind 127.0.0.1:{port}
 default_backend arms
backend arms
 http-reuse always
 server a 127.0.0.1:{first} weight 95
 server b 127.0.0.1:{second} weight 5
"""

_CADDY = """
{{
 admin off
 auto_https off
}}
:{port} {{
 reverse_proxy 127.0.0.1:{first} 127.0.0.1:{second}
}}
"""

_ENVOY_SPLIT = "{weighted_clusters: {clusters: [{name: a, weight: 95}, {name: b, weight: 5}]}}"
_ENVOY_MIRROR = "{cluster: a, request_mirror_policies: [{cluster: b}]}"
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


def nginx_command(plan: Plan, port: int, *, folder: Path) -> list[str]:
    """nginx, one worker process."""
    file = folder / "nginx.conf"
    extra = (_NGINX_LARGE if plan.large or plan.stream else "") + (" proxy_buffering off;" if plan.stream else "")
    locations = _NGINX_MIRROR if plan.mirror else _NGINX_SPLIT
    ports = {"port": port, "first": plan.first, "second": plan.second}
    file.write_text(_NGINX.format(folder=folder, extra=extra, locations=locations, **ports))
    return ["nginx", "-p", str(folder), "-c", str(file)]


def haproxy_command(plan: Plan, port: int, *, folder: Path) -> list[str]:
    """HAProxy, one thread."""
    file = folder / "haproxy.cfg"
    extra = "\n option http-no-delay" if plan.stream else ""  # else an event may wait for the next one
    file.write_text(_HAPROXY.format(port=port, first=plan.first, second=plan.second, extra=extra))
    return ["haproxy", "-f", str(file)]


def caddy_command(plan: Plan, port: int, *, folder: Path) -> list[str]:
    """Caddy. It takes turns between the two by chance, half and half, and uses as many threads as it likes."""
    file = folder / "Caddyfile"
    file.write_text(_CADDY.format(port=port, first=plan.first, second=plan.second))
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


def envoy_command(plan: Plan, port: int, *, folder: Path) -> list[str]:
    """Envoy, one worker thread."""
    file = folder / "envoy.yaml"
    clusters = "".join(_ENVOY_CLUSTER.format(name=name, port=target) for name, target in (("a", plan.first), ("b", plan.second)))
    file.write_text(_ENVOY.format(port=port, route=_ENVOY_MIRROR if plan.mirror else _ENVOY_SPLIT) + clusters)
    return ["envoy", "-c", str(file), "--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]


class Peer(NamedTuple):
    """A program that may be installed: its command for a plan, how it tells its version, and whether it can mirror."""

    title: str
    command: Callable[..., list[str]]
    version: tuple[str, ...]
    mirrors: bool


PEERS = {
    "nginx": Peer("nginx", nginx_command, ("-v",), mirrors=True),
    "haproxy": Peer("HAProxy", haproxy_command, ("-v",), mirrors=False),
    "caddy": Peer("Caddy", caddy_command, ("version",), mirrors=False),
    "envoy": Peer("Envoy", envoy_command, ("--version",), mirrors=True),
}


def present() -> dict[str, str]:
    """The peers found on PATH, with their titles: name and version."""
    return {name: f"{peer.title} {_version(name, peer)}".strip() for name, peer in PEERS.items() if shutil.which(name)}


def _version(name: str, peer: Peer) -> str:
    run = subprocess.run([name, *peer.version], capture_output=True, text=True, check=False)
    found = re.search(r"(?<![\w.])(\d+\.\d+)", run.stdout + run.stderr)
    return found[1] if found else ""
