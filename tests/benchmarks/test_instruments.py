"""The benchmark's own instruments: what they count is there, what is missing is missed. Nothing here depends on how fast it is."""

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from tests.benchmarks.contestants import check
from tests.benchmarks.event_client import read_streams
from tests.benchmarks.figures import Run, UnfitError, ratio
from tests.benchmarks.generator import SMALL_END, SMALL_REQUEST, Generator, percentile
from tests.benchmarks.loads import SMALL
from tests.benchmarks.memory import idle_connections
from tests.benchmarks.model_server import document
from tests.benchmarks.processes import EndedError, cpu_seconds, part, resident_mib, running, spent, wait_for
from tests.benchmarks.proxies import Plan
from tests.benchmarks.rounds import Results
from tests.benchmarks.tables import beside, measured, table
from tests.ports import free_port

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n{"a":1,%b' % (7 + len(SMALL_END), SMALL_END)


@pytest.fixture(scope="module")
def model_server() -> Iterator[int]:
    """The port of a running one."""
    port, other = free_port(), free_port()
    with running([sys.executable, "-m", "tests.benchmarks.model_server", str(port), str(other)], port):
        wait_for(other)
        yield port


class SmallServer:
    """Answers small requests in two pieces, and the one with number `stalled` after a pause, or not at all when it `cuts`."""

    def __init__(self, *, stalled: int = -1, pause: float = 0.0, cuts: bool = False) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._stalled, self._pause, self._cuts = stalled, pause, cuts
        self._answered = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                one, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        with one, suppress(OSError):
            while one.recv(len(SMALL_REQUEST), socket.MSG_WAITALL) == SMALL_REQUEST:
                number, self._answered = self._answered, self._answered + 1
                if number == self._stalled and self._cuts:
                    return
                if number == self._stalled:
                    time.sleep(self._pause)
                one.sendall(ANSWER[:20])
                time.sleep(0.001)
                one.sendall(ANSWER[20:])

    def close(self) -> None:
        """Accept no more."""
        self._listener.close()


def generated(server: SmallServer, *, rate: float, seconds: float, connections: int) -> Generator:
    """A run that is over."""
    generator = Generator(server.port, rate=rate, seconds=seconds, connections=connections)
    generator.run()
    server.close()
    return generator


def test_the_open_loop_counts_every_answer_that_comes_in_pieces() -> None:
    generator = generated(SmallServer(), rate=200, seconds=0.5, connections=4)
    assert (len(generator.latencies), generator.failed) == (100, 0)


def test_a_stall_is_felt_by_every_request_that_was_due_meanwhile() -> None:
    """One connection, 50 requests a second, and a pause of a second at the tenth: those behind it have waited too."""
    generator = generated(SmallServer(stalled=10, pause=1.0), rate=50, seconds=1, connections=1)
    assert (len(generator.latencies), generator.failed) == (50, 0)
    assert sum(latency > 0.3 for latency in generator.latencies) >= 30
    assert max(generator.latencies) >= 1.0


def test_a_broken_connection_fails_its_request_and_those_behind_it() -> None:
    generator = generated(SmallServer(stalled=3, cuts=True), rate=100, seconds=0.1, connections=1)
    assert generator.failed == 7


def test_percentiles_are_values_that_were_measured() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    assert percentile(list(range(1, 1001)), 0.999) == 999
    assert percentile([], 0.5) == 0.0


@pytest.mark.parametrize("size", [1_000, 65_536, 1_048_576])
def test_bodies_arrive_and_come_back_whole(model_server: int, size: int) -> None:
    body = document(size)
    assert len(body) == size
    assert len(json.loads(body)["predictions"]) > size // 11
    with httpx.Client(base_url=f"http://127.0.0.1:{model_server}") as client:
        before = client.get("/counts").json()["bytes"]
        assert client.post(f"/size/{size}", content=body).content == body
        assert client.post("/digest", content=body).text == hashlib.sha256(body).hexdigest()
        assert client.get("/counts").json()["bytes"] - before == 2 * size


def test_a_body_of_another_length_is_refused(model_server: int) -> None:
    assert httpx.post(f"http://127.0.0.1:{model_server}/size/1000", content=b"x" * 999).status_code == 400


@pytest.mark.parametrize("gap", [0, 1_000])
def test_streams_are_read_to_their_ends(model_server: int, gap: int) -> None:
    (readers,) = asyncio.run(read_streams([model_server], 4, events=300, gap=gap))
    assert [(reader.events, reader.whole) for reader in readers] == [(300, True)] * 4
    assert [len(reader.delays) for reader in readers] == [300 if gap else 0] * 4
    assert all(delay >= 0 for reader in readers for delay in reader.delays)


def test_a_stream_that_ends_early_is_not_whole() -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        one, _ = server.accept()
        one.recv(4096)
        one.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n10\r\ndata: @0 1 and\n\n\r\n")
        one.close()

    threading.Thread(target=serve, daemon=True).start()
    ((reader,),) = asyncio.run(read_streams([server.getsockname()[1]], 1, events=2, gap=0))
    server.close()
    assert (reader.events, reader.whole) == (1, False)


def test_idle_connections_have_had_an_answer_each_and_stay_open() -> None:
    server = SmallServer()
    with idle_connections(server.port, 5):
        pass
    server.close()
    refusing = SmallServer(stalled=2, cuts=True)
    with pytest.raises(UnfitError), idle_connections(refusing.port, 5):
        pass
    refusing.close()


class Breaking(BaseHTTPRequestHandler):
    """Answers small requests, and breaks off what it says to others."""

    def do_POST(self) -> None:
        size = int(self.headers["content-length"])
        self.rfile.read(size)
        self.send_response(200)
        self.send_header("content-length", "2" if size == len(SMALL) else "1000")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_a_peer_that_breaks_a_body_off_fails_alone_and_ours_ends_the_comparison() -> None:
    results = Results({}, {}, {}, {}, {})
    for name in ("caddy", "envoy"):
        results.add("1m", name, run=Run({}, {}))
    with HTTPServer(("127.0.0.1", 0), Breaking) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        plan, port = Plan("1m", 0, 0, large=True), server.server_port
        with results.attempt("1m", "caddy"):
            check(port, plan, name="caddy")
        with pytest.raises(UnfitError, match="modelctl, 1m: peer closed"), results.attempt("1m", "modelctl"):
            check(port, plan, name="modelctl")
        server.shutdown()
    results.add("1m", "caddy", run=Run({}, {}))
    assert list(results.runs["1m"]) == ["envoy"]
    assert [why[:24] for why in results.unfit["1m"]["caddy"]] == ["caddy, 1m: peer closed c"]


def test_a_program_that_does_not_start_or_stay_is_told_with_its_last_words() -> None:
    with pytest.raises(EndedError, match="no such thing"), running([sys.executable, "-c", "exit('no such thing')"], free_port()):
        pass
    port = free_port()
    serve = f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"
    with pytest.raises(EndedError, match="ended with -9"), running([sys.executable, "-c", serve], port) as pid:
        end(pid, port)


def end(pid: int, port: int) -> None:
    """Kill it. Raises ConnectionError as soon as nobody listens."""
    subprocess.run(["kill", "-9", str(pid)], check=True)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        socket.create_connection(("127.0.0.1", port)).close()


def test_cpu_and_memory_are_those_of_the_whole_tree_by_part() -> None:
    burn = "import subprocess, sys; s = subprocess.Popen([sys.executable, '-c', 'while True: pass']); s.wait()"
    with subprocess.Popen([sys.executable, "-c", burn]) as process:
        deadline = time.monotonic() + 30
        while (used := cpu_seconds(process.pid)) and (len(used) < 2 or max(used.values()) < 0.2) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(used) == 2
        later = cpu_seconds(process.pid)
        assert sum(spent(used, later).values()) == pytest.approx(sum(later.values()) - sum(used.values()))
        assert resident_mib(process.pid)[part(process.pid)] > 5
        for member in used:
            if member != process.pid:
                subprocess.run(["kill", str(member)], check=True)


def test_ratios_are_taken_within_a_round_and_the_table_says_so() -> None:
    def run(router: float, recorder: float = 0.0) -> Run:
        return Run({"cpu": {"modelctl.router": router, "modelctl.recorder": recorder}}, {})

    envoy, ours = [run(10), run(20), run(40)], [run(5, 5), run(10, 10), run(60, 60)]
    assert ratio(ours, envoy, name="cpu", part="modelctl.router") == 0.5
    assert ratio(ours, envoy, name="cpu") == 1.0
    columns = (measured("CPU µs", "cpu"), beside("x Envoy", "cpu"))
    assert table("small", columns, runs={"envoy": envoy, "modelctl": ours}, titles={"envoy": "Envoy"}).splitlines() == [
        "| small | CPU µs | x Envoy |",
        "| --- | --- | --- |",
        "| **modelctl, router worker** | 10.0 | 0.50 |",
        "| Envoy | 20.0 | 1.00 |",
        "| modelctl, whole tree | 20.0 | 1.00 |",
        "| of it: recorder | 10.0 | 0.50 |",
    ]
    alone = table("small", columns, runs={"modelctl": ours}, titles={})
    assert "| **modelctl, router worker** | 10.0 |  |" in alone
