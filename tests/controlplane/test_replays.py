"""Recorded requests are sent to a candidate: the pairs are those of a shadow, and nothing else changes."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, delete
from starlette.applications import Starlette

from modelctl.cli import main
from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.fleet import Fleet
from modelctl.controlplane.operations.backends import add_backend
from modelctl.controlplane.operations.routes import NewRoute, add_route
from modelctl.settings import Settings
from modelctl.store.engine import writing
from modelctl.store.tables import event
from modelctl.traffic import Backend
from tests.controlplane.scene import ANN, store_prediction
from tests.recorder.stream import drain, rows

Serve = Callable[[Starlette], str]
ASKED = b'{"amount": 1}'
SAID = b'{"prediction": "x"}'


class Candidate:
    """A model server that answers y to every amount of 3, else x, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes, str | None]] = []
        self.pause = threading.Event()
        self.pause.set()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                model.asked.append((self.command, self.path, body, self.headers["x-request-id"]))
                model.pause.wait(20)
                answer = b'{"prediction": "y"}' if json.loads(body).get("amount") == 3 else SAID
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: object) -> None:
                """Tests look at `asked` instead."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Listens no more."""
        self.pause.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def candidate() -> Iterator[Candidate]:
    found = Candidate()
    yield found
    found.close()


@pytest.fixture
def plane(engine: Engine, serve: Serve, tmp_path: Path, *, candidate: Candidate) -> str:
    """A control plane whose route `fraud` has the baseline `a`; `b` is the candidate, below a path of its own."""
    for name, url in (("a", "http://a.test:1"), ("b", f"{candidate.url}/v2")):
        add_backend(engine, Backend(name=name, endpoints=(url,)), author=ANN)
    add_route(engine, NewRoute(name="fraud", path="/fraud", baseline="a"), author=ANN)
    return serve(create_app(engine, Settings(data_dir=tmp_path), fleet=Fleet(unix_microseconds, young_for=-1)))


def store(engine: Engine, number: int, **columns: object) -> None:
    """The `number`-th request of the last hour, whole, answered x by the baseline."""
    at = (time.time_ns() // 1_000_000_000 - 3_600) * 1_000_000 + number
    asked = b'{"amount": %d}' % number
    row: dict[str, object] = {"request_body": asked, "request_size": len(asked), "request_type": "application/json"}
    row |= {"answer_body": SAID, "answer_size": len(SAID), "answer_type": "application/json", "target": "/fraud/score?q=1"}
    store_prediction(engine, f"{number:032x}", **({"at": at, "rollout": 0, "stage": 0, "reason": "only"} | row | columns))


def replay(plane: str, **changes: object) -> dict[str, Any]:
    """Begins a replay, or goes on; waits until it ends."""
    with httpx.Client(base_url=plane, timeout=30) as client:
        body = {"candidate": "b", "window": "7d", "rate": 2_000} | changes
        answer = client.post("/v1/routes/fraud:replay", json=body)
        assert answer.status_code == 202, answer.text
        return ended(client, answer.json()["rollout"])


def ended(client: httpx.Client, rollout: int) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found: dict[str, Any] = client.get(f"/v1/replays/{rollout}").json()
        if found["state"] != "running":
            return found
        time.sleep(0.02)
    raise AssertionError("the replay does not end")


def test_a_replay_gives_the_paired_report_of_a_shadow(
    plane: str, engine: Engine, database_url: str, *, tmp_path: Path, candidate: Candidate
) -> None:
    for number in range(8):
        store(engine, number)
    found = replay(plane, gates=["error_rate:guardrail:margin=40pt"])
    assert (found["state"], found["sent"], found["skipped"]) == ("done", 8, {})
    assert {path for _, path, _, _ in candidate.asked} == {"/v2/score?q=1"}
    assert sorted(one[3] or "" for one in candidate.asked) == [f"request-{number:032x}" for number in range(8)]
    drain(database_url, tmp_path / "spool")
    pairs = rows(database_url, "pair")
    assert [(one["agree"], one["baseline_label"], one["candidate_label"]) for one in pairs].count((0, "x", "y")) == 1
    assert {one["rollout"] for one in pairs} == {found["rollout"]}
    with httpx.Client(base_url=plane, timeout=30) as client:
        report = client.get("/v1/routes/fraud/report", params={"rollout": found["rollout"]}).json()
        route = client.get("/v1/routes/fraud").json()
    assert report["rollout"]["strategy"] == "replay"
    assert report["funnels"][0]["paired"] == 8
    assert route["rollout"] is None
    assert len(rows(database_url, "prediction")) == 8


def test_the_table_of_the_routers_does_not_change(plane: str, engine: Engine, database_url: str) -> None:
    store(engine, 1)
    before = rows(database_url, "routing_table")
    replay(plane)
    assert rows(database_url, "routing_table") == before


def test_what_was_not_recorded_whole_is_left_out_and_counted(plane: str, engine: Engine, candidate: Candidate) -> None:
    faulty: tuple[dict[str, object], ...] = (
        {"request_size": 999},
        {"answer_size": 999},
        {"redacted": 1},
        {"redacted": 8},
        {"reason": "rule"},
        {"reason": "fallback"},
        {"outcome": "cancelled"},
        {"target": "/fraud/\\xff"},
        {"arm": "b"},
        {"at": 1},
        {},
    )
    for number, columns in enumerate(faulty):
        store(engine, number, **columns)
    found = replay(plane, since=2)
    assert found["sent"] == 1
    assert found["skipped"] == {
        "request-truncated": 1,
        "answer-truncated": 1,
        "request-redacted": 1,
        "answer-redacted": 1,
        "chosen-arm": 2,
        "unfinished": 1,
        "odd-target": 1,
    }
    assert len(candidate.asked) == 1


def test_a_replay_goes_on_where_it_stopped_and_a_finished_one_begins_anew(
    plane: str, engine: Engine, database_url: str, *, tmp_path: Path, candidate: Candidate
) -> None:
    for number in range(7):
        store(engine, number)
    first = replay(plane, limit=3)
    assert (first["state"], first["sent"]) == ("stopped", 3)
    second = replay(plane)
    assert (second["rollout"], second["state"], second["sent"]) == (first["rollout"], "done", 7)
    assert len(candidate.asked) == 7
    drain(database_url, tmp_path / "spool")
    assert len(rows(database_url, "pair")) == 7
    assert replay(plane)["rollout"] != first["rollout"]


def test_a_replay_that_was_killed_goes_on_at_its_newest_pair(
    plane: str, engine: Engine, database_url: str, *, tmp_path: Path, candidate: Candidate
) -> None:
    for number in range(7):
        store(engine, number)
    first = replay(plane, limit=3)
    drain(database_url, tmp_path / "spool")
    with writing(engine) as connection:
        connection.execute(delete(event).where(event.c.action == "replay-stop"))
    second = replay(plane)
    assert (second["rollout"], second["state"], second["sent"]) == (first["rollout"], "done", 7)
    assert len(candidate.asked) == 8
    drain(database_url, tmp_path / "spool")
    assert len(rows(database_url, "pair")) == 7


def test_requests_that_are_sent_twice_become_one_pair(
    plane: str, engine: Engine, database_url: str, *, tmp_path: Path, candidate: Candidate
) -> None:
    for number in range(4):
        store(engine, number)
    with httpx.Client(base_url=plane, timeout=30) as client:
        candidate.pause.clear()
        body = {"candidate": "b", "window": "7d", "rate": 2_000}
        rollout = client.post("/v1/routes/fraud:replay", json=body).json()["rollout"]
        deadline = time.monotonic() + 20
        while len(candidate.asked) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert client.post("/v1/routes/fraud:replay", json=body).status_code == 409
        stopped = client.post(f"/v1/replays/{rollout}:stop", json={}).json()
        candidate.pause.set()
    assert (stopped["state"], stopped["sent"]) == ("stopped", 0)
    assert replay(plane)["sent"] == 4
    assert len(candidate.asked) == 8
    drain(database_url, tmp_path / "spool")
    assert len(rows(database_url, "pair")) == 4


def test_a_candidate_that_cannot_be_reached_is_no_evidence(plane: str, engine: Engine, candidate: Candidate) -> None:
    add_backend(engine, Backend(name="gone", endpoints=("http://127.0.0.1:9",)), author=ANN)
    store(engine, 1)
    found = replay(plane, candidate="gone")
    assert (found["state"], found["sent"]) == ("failed", 0)
    assert "cannot be reached" in found["why"]
    assert candidate.asked == []


@pytest.mark.parametrize("gate", ["slow_rate:guardrail:margin=1pt,slower=200ms", "timeout_rate:guardrail:margin=1pt"])
def test_a_gate_on_times_is_refused(plane: str, gate: str) -> None:
    with httpx.Client(base_url=plane, timeout=30) as client:
        answer = client.post("/v1/routes/fraud:replay", json={"candidate": "b", "gates": [gate]})
        assert client.get("/v1/rollouts").json()["items"] == []
    assert answer.status_code == 422


def test_the_command_replays_and_names_the_report(plane: str, engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        store(engine, number)
    assert main(["replay", "fraud", "--candidate", "b", "--rate", "1000/s", "--url", plane]) == 0
    out = capsys.readouterr().out
    assert "done, 3 pairs" in out
    assert "modelctl report fraud --rollout 1" in out
    assert main(["replay", "fraud", "--candidate", "b", "--rate", "fast", "--url", plane]) == 2
