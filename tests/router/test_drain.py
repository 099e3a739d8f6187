"""How a router ends: it finishes what it has begun, takes nothing new, and says so with its exit code."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer, until_left, wait
from tests.router.process import RouterProcess, eventually
from tests.router.wire import Incomplete, get, ok, post

Start = Callable[..., RouterProcess]


def only(old: ModelServer) -> RoutingTable:
    backend = Backend(name="old", endpoints=(old.url,))
    return RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))


def _refused(router: RouterProcess) -> bool:
    try:
        router.client().socket.close()
    except ConnectionError:
        return True
    return False


def test_a_request_in_flight_is_finished_and_new_connections_are_refused(start: Start, old: ModelServer) -> None:
    go = threading.Event()
    old.on("/slow", wait(go), ok(b"finished"))
    router = start(only(old))
    with router.client() as client:
        client.send(get("/slow", "X-Request-Id: last"))
        assert eventually(lambda: bool(old.arrivals))
        router.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: _refused(router))
        assert router.process.poll() is None
        go.set()
        reply = client.read()
        assert (reply.body, reply.one(b"connection")) == (b"finished", b"close")
        assert client.rest() == b""
    assert router.process.wait(5) == 0
    assert router.served("last").answer.failure == ""


def test_idle_connections_are_closed_at_once(start: Start, old: ModelServer) -> None:
    router = start(only(old))
    with router.client() as client:
        assert client.ask(get("/")).status == 200
        started = monotonic()
        assert router.stop() == 0
        assert monotonic() - started < 1.5
        assert client.rest() == b""


def test_a_request_whose_head_has_begun_is_still_answered(start: Start, old: ModelServer) -> None:
    router = start(only(old))
    request = get("/begun")
    with router.client() as client:
        client.ask(get("/first"))
        client.send(request[:10])
        sleep(0.1)
        router.process.send_signal(signal.SIGTERM)
        assert eventually(lambda: _refused(router))
        client.send(request[10:])
        assert client.read().status == 200
    assert router.process.wait(5) == 0


def test_an_upload_in_flight_is_finished(start: Start, old: ModelServer) -> None:
    router = start(only(old))
    request = post("/upload", b"0123456789")
    with router.client() as client:
        client.send(request[:-5])
        assert eventually(lambda: bool(old.arrivals))
        router.process.send_signal(signal.SIGTERM)
        sleep(0.1)
        client.send(request[-5:])
        assert client.read(b"POST").status == 200
    assert router.process.wait(5) == 0
    assert old.last("/upload").body == b"0123456789"


def test_what_does_not_end_in_time_is_cut_and_written_down(start: Start, old: ModelServer) -> None:
    old.on("/endless", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart", until_left)
    router = start(only(old), drain_timeout="0.3")
    with router.client() as client:
        client.send(get("/endless", "X-Request-Id: cut"))
        assert eventually(lambda: bool(old.arrivals))
        sleep(0.1)
        router.process.send_signal(signal.SIGTERM)
        with pytest.raises(Incomplete):
            client.read()
    assert router.process.wait(5) == 0
    assert router.served("cut").answer.failure == "client-gone"


def test_sigint_drains_too(start: Start, old: ModelServer) -> None:
    router = start(only(old)).ready()
    router.process.send_signal(signal.SIGINT)
    assert router.process.wait(5) == 0


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "modelctl.router", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)


def test_every_wrong_setting_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = _run("--fd", "0", "--data-dir", str(tmp_path), MODELCTL_LISTEN="nowhere", MODELCTL_IDLE_TIMEOUT="soon")
    assert ended.returncode == 2
    lines = ended.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("error: MODELCTL_LISTEN: ")
    assert lines[1].startswith("error: MODELCTL_IDLE_TIMEOUT: ")


def test_a_wrong_control_url_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = _run("--fd", "0", "--data-dir", str(tmp_path), "--control", "ftp://x")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: --control: ")
    assert ended.stderr.count("\n") == 1
