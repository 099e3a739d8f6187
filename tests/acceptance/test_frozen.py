"""SIGSTOP, SIGCONT and SIGKILL of routers and of models under load: who waits, who is told, and that nothing is lost or doubled."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Flow, Load, bodies, failures, flowing, wrong
from tests.acceptance.program import Program, connections_of, environment, running, until

RATE = 300.0
TIMEOUT = 1.0  # of the models, in seconds
FROZEN = 2.0  # seconds: longer than that


class Model:
    """A model server of a test's own."""

    def __init__(self, script: str, *arguments: str) -> None:
        command = [sys.executable, str(Path(__file__).with_name(script)), *arguments]
        self.process = subprocess.Popen(command, env=environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{self.process.stdout.readline().strip()}"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stopped, for the length of the block."""
        with frozen(self.process.pid):
            yield

    def end(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """The process is stopped for the length of the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def own() -> Iterator[Mapping[str, Model]]:
    """Models that a test may stop, and two that one test each may kill."""
    models = {name: Model("model_process.py", name) for name in ("old", "new", "doomed")} | {"stream": Model("stream_process.py")}
    yield models
    for model in models.values():
        model.end()


@contextmanager
def prepared(folder: Path, own: Mapping[str, Model], *, workers: int) -> Iterator[Program]:
    """A route to each model."""
    with running(folder, workers=workers) as program:
        for name, model in own.items():
            add(program, "backends", name=name, endpoints=[model.url], response_timeout_ms=int(TIMEOUT * 1000))
            add(program, "routes", name=f"to-{name}", path=f"/to-{name}", baseline=name)
        add(program, "routes", name="shown", path="/shown", baseline="old")
        add(program, "routes", name="shown-doomed", path="/shown-doomed", baseline="old")
        yield program


def add(program: Program, nouns: str, **fields: object) -> None:
    """What `modelctl backend add` and `modelctl route add` send."""
    httpx.post(f"{program.url}/v1/{nouns}", json=fields, timeout=10, trust_env=False).raise_for_status()


@pytest.fixture(scope="module")
def program(own: Mapping[str, Model], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """One worker."""
    with prepared(tmp_path_factory.mktemp("frozen"), own, workers=1) as program:
        yield program


def load(program: Program, path: str, prefix: str, *, connections: int = 16) -> Load:
    return Load(program.port, bodies(prefix, path), connections=connections, rate=RATE)


def ends_well(program: Program, flow: Flow, prefix: str) -> None:
    """Every request was answered, as it should be, and recorded once."""
    assert not failures(flow.replies)
    assert wrong(flow.replies) == []
    ledger = Ledger(program.database_url)
    ledger.recorded(flow.replies, prefix)
    ledger.conserved()


def test_requests_wait_for_a_frozen_worker_and_none_is_lost_or_doubled(program: Program) -> None:
    with flowing(load(program, "/to-old", "alone")) as flow:
        flow.wait_for(200)
        with frozen(program.pids("router")[0]):
            sleep(FROZEN)
        flow.wait_for(200)
    ends_well(program, flow, "alone")
    assert max(reply.ended_at - reply.sent_at for reply in flow.replies) > FROZEN / 2


def test_a_frozen_worker_does_not_hinder_the_other(own: Mapping[str, Model], tmp_path: Path) -> None:
    with prepared(tmp_path, own, workers=2) as program:
        with flowing(load(program, "/to-old", "two")) as flow:
            flow.wait_for(200)
            held = {pid: connections_of(pid, program.port) for pid in program.pids("router")}
            one = min(held, key=lambda pid: held[pid])
            with frozen(one):
                started = monotonic()
                sleep(FROZEN)
                meanwhile = [reply for reply in flow.replies if reply.sent_at > started]
            flow.wait_for(100)
        ends_well(program, flow, "two")
        assert len(meanwhile) > 50


def test_a_frozen_model_is_a_timeout_in_time_and_others_are_not_hindered(program: Program, own: Mapping[str, Model]) -> None:
    ledger = Ledger(program.database_url)
    with flowing(load(program, "/to-old", "frozen")) as ill, flowing(load(program, "/to-new", "well")) as well:
        ill.wait_for(100)
        with own["old"].frozen():
            started = monotonic()
            sleep(FROZEN)
            ended = monotonic()
        ill.wait_for(300)
    ends_well(program, well, "well")
    late = [reply for reply in ill.replies if not reply.good]
    assert late
    assert {(reply.failure, reply.status) for reply in late} == {("", 504)}
    assert all(TIMEOUT * 0.9 < reply.ended_at - reply.sent_at < TIMEOUT + 3 for reply in late)
    assert all(started - TIMEOUT < reply.sent_at < ended + 1 for reply in late)
    assert wrong(ill.replies) == []
    recorded = Counter(ledger.request_ids("frozen"))
    until(lambda: len(ledger.request_ids("frozen")) == len(ill.replies), what="the predictions of all")
    assert set(recorded.values()) == {1}
    timeouts = ledger.one("SELECT count(*) FROM prediction WHERE request_id LIKE 'frozen-%' AND outcome = 'timeout'")
    assert timeouts == len(late)
    ledger.conserved()


def test_clients_do_not_notice_a_frozen_shadow_and_each_pair_is_there(program: Program, own: Mapping[str, Model]) -> None:
    ledger = Ledger(program.database_url)
    program.modelctl("shadow", "shown", "new", "--percent", "100").done()
    with flowing(load(program, "/shown", "shown")) as flow:
        flow.wait_for(100)
        with own["new"].frozen():
            sleep(FROZEN)
        flow.wait_for(200)
    ends_well(program, flow, "shown")
    assert max(reply.ended_at - reply.sent_at for reply in flow.replies) < FROZEN
    all_pairs = "SELECT count(*) FROM pair WHERE request_id LIKE 'shown-%'"
    until(lambda: ledger.one(all_pairs) == len(flow.replies), what=f"{len(flow.replies)} pairs")
    assert ledger.one(all_pairs + " AND candidate_failure = 'timeout'") > 0
    assert ledger.one(all_pairs + " AND candidate_failure NOT IN ('', 'timeout', 'overload')") == 0


def test_clients_do_not_notice_a_killed_shadow_and_each_pair_is_there(program: Program, own: Mapping[str, Model]) -> None:
    ledger = Ledger(program.database_url)
    program.modelctl("shadow", "shown-doomed", "doomed", "--percent", "100").done()
    with flowing(load(program, "/shown-doomed", "doomed")) as flow:
        flow.wait_for(100)
        own["doomed"].end()
        flow.wait_for(300)
    ends_well(program, flow, "doomed")
    all_pairs = "SELECT count(*) FROM pair WHERE request_id LIKE 'doomed-%'"
    until(lambda: ledger.one(all_pairs) == len(flow.replies), what=f"{len(flow.replies)} pairs")
    assert ledger.one(all_pairs + " AND candidate_failure IN ('connect', 'reset')") >= 250


def test_a_model_killed_in_mid_stream_is_a_cut_for_its_clients_and_nothing_to_others(
    program: Program, own: Mapping[str, Model]
) -> None:
    ledger = Ledger(program.database_url)
    with flowing(load(program, "/to-old", "beside")) as flow:
        listeners = [listen(program.port, number) for number in range(10)]
        for listener in listeners:
            heard(listener, b"data: 5\n\n")
        own["stream"].end()
        rests = [rest(listener) for listener in listeners]
        flow.wait_for(100)
    assert not any(b"\r\n0\r\n\r\n" in received for received in rests)
    ends_well(program, flow, "beside")
    truncated = "AND (failure, outcome) = ('truncated', 'backend_error')"
    failed = f"SELECT count(*) FROM prediction WHERE request_id LIKE 'listen-%' {truncated}"  # noqa: S608 (our own words)
    until(lambda: ledger.one(failed) == len(listeners), what="ten truncated answers")
    with flowing(Load(program.port, bodies("gone", "/to-stream"), connections=2, rate=50)) as gone:
        gone.wait_for(20)
    assert {(reply.failure, reply.status) for reply in gone.replies} == {("", 502)}


def listen(port: int, number: int) -> socket.socket:
    """A client of a stream of events."""
    listener = socket.create_connection(("127.0.0.1", port), timeout=10)
    listener.sendall(b"GET /to-stream HTTP/1.1\r\nhost: models.example\r\nx-request-id: listen-%d\r\n\r\n" % number)
    return listener


def heard(listener: socket.socket, event: bytes) -> None:
    """Returns when the event has come."""
    received = b""
    while event not in received:
        received += listener.recv(10_000)


def rest(listener: socket.socket) -> bytes:
    """What comes until the end, whatever the end is."""
    received = b""
    with listener:
        try:
            while data := listener.recv(10_000):
                received += data
        except ConnectionError:
            pass
    return received
