"""Commands while streams run, on many workers, and against each other."""

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Load, bodies, failures, flowing
from tests.acceptance.program import PATIENCE, Program, environment, running, until
from tests.acceptance.scene import add_backends, add_route

WORKERS = 4


@pytest.fixture(scope="module")
def stream_url() -> Iterator[str]:
    """A model server whose answers are streams without end."""
    command = [sys.executable, str(Path(__file__).with_name("stream_process.py"))]
    with subprocess.Popen(command, env=environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        process.kill()


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], stream_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("turning"), workers=WORKERS, drain_timeout="1") as program:
        add_backends(program, {"old": models["old"], "new": models["new"], "stream": stream_url})
        yield program


def asked(port: int, path: str) -> socket.socket:
    """A connection that has asked."""
    client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    client.sendall(f"GET {path} HTTP/1.1\r\nhost: models.example\r\n\r\n".encode())
    return client


def hears(client: socket.socket, events: int) -> bytes:
    """What comes until so many more events are there."""
    received = b""
    while received.count(b"data:") < events:
        data = client.recv(65_536)
        assert data, "the stream has ended"
        received += data
    return received


def test_streams_go_on_where_they_began_when_their_arm_is_rolled_back(program: Program) -> None:
    path = add_route(program, "streams")
    program.modelctl("canary", "streams", "stream", "--percent", "100").done()
    listeners = [asked(program.port, path) for _ in range(8)]
    assert all(b"modelctl-arm: stream" in hears(listener, 3) for listener in listeners)
    program.modelctl("rollback", "streams").done()
    with flowing(Load(program.port, bodies("after", path), connections=8, rate=100)) as flow:
        flow.wait_for(200)
    assert not failures(flow.replies)
    assert {reply.arm for reply in flow.replies} == {"old"}
    for listener in listeners:
        hears(listener, 20)
        listener.close()


def test_every_worker_says_which_table_it_serves_after_a_promote(program: Program) -> None:
    add_route(program, "many")
    program.modelctl("canary", "many", "new", "--percent", "10").done()
    done = program.modelctl("promote", "many", "-o", "json").done().json["convergence"]
    assert done["converged"]
    assert len({worker["worker"] for worker in done["workers"]}) == WORKERS
    assert {worker["version"] for worker in done["workers"]} == {done["version"]}
    workers = until(lambda: settled(program, done["version"]), what="all workers with the new table")
    assert len(workers) == WORKERS


def settled(program: Program, version: int) -> list[str]:
    """The workers that are alive, once all of them serve this version."""
    alive = [worker for worker in program.status()["workers"] if worker["alive"]]
    return [worker["worker"] for worker in alive] if all(worker["version"] == version for worker in alive) else []


def test_of_a_promote_and_a_rollback_at_the_same_time_one_wins_and_the_other_is_told(program: Program) -> None:
    ledger = Ledger(program.database_url)
    add_route(program, "both")
    for _ in range(3):
        program.modelctl("canary", "both", "new", "--percent", "10").done()
        rollout = ledger.one("SELECT max(id) FROM rollout WHERE route = 'both'")

        def command(verb: str, rollout: int = rollout) -> int:
            return httpx.post(f"{program.url}/v1/rollouts/{rollout}:{verb}", json={}, timeout=PATIENCE, trust_env=False).status_code

        with ThreadPoolExecutor(2) as commands:
            codes = dict(zip(("promote", "rollback"), commands.map(command, ("promote", "rollback")), strict=True))
        assert sorted(codes.values()) == [200, 409], codes
        ended = ledger.rows(
            "SELECT action FROM event WHERE rollout = :rollout AND action IN ('promote', 'rollback')", rollout=rollout
        )
        assert [event.action for event in ended] == [verb for verb, code in codes.items() if code == 200]
        if codes["promote"] == 200:
            program.modelctl("rollback", "both").done()
