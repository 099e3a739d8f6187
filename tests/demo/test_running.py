"""The model server and the clients as processes, over real connections."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from modelctl.demo.answers import question_of
from modelctl.demo.rows import read_dataset

ROOT = Path(__file__).parents[2]
DATASET = read_dataset()
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def started(module: str, *arguments: str, key: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"modelctl.demo.{module}", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**ENVIRONMENT, "MODELCTL_KEY": key})


def finished(module: str, *arguments: str, key: str = "") -> tuple[int, str]:
    """The exit code and stderr of a process that ends by itself."""
    process = started(module, *arguments, key=key)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


@pytest.fixture(scope="module", params=["v1", "v2"])
def model(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """A running model of each version: its version and URL."""
    with running_model(request.param) as url:
        yield request.param, url


@pytest.fixture(scope="module")
def v2() -> Iterator[str]:
    """The URL of a running model."""
    with running_model("v2") as url:
        yield url


@contextmanager
def running_model(version: str) -> Iterator[str]:
    process = started("model", "--version", version, "--listen", "127.0.0.1:0")
    assert process.stderr is not None
    match = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
    assert match
    yield match[0]
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr


class Control(BaseHTTPRequestHandler):
    """A control plane's feedback endpoint. The server's `refuse` next posts are answered with 503."""

    server: "ControlServer"
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.authorizations.add(self.headers.get("authorization"))
        refused = self.server.refuse > 0
        self.server.refuse -= refused
        if not refused:
            self.server.batches.append((self.path, body))
        self.send_response(503 if refused else 200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the overridden parameter
        """Nothing: the tests read what was received instead."""


class ControlServer(ThreadingHTTPServer):
    """Keeps every batch it accepted."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Control)
        self.batches: list[tuple[str, list[dict[str, Any]]]] = []
        self.authorizations: set[str | None] = set()
        self.refuse = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def control() -> Iterator[ControlServer]:
    with ControlServer() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def body_of(row: int) -> dict[str, Any]:
    question = question_of(DATASET.traffic[row], DATASET.names)
    return {"clinic": question.clinic, "features": question.features}


def test_a_model_answers_with_a_label_its_probability_and_its_version(model: tuple[str, str]) -> None:
    version, url = model
    reply = httpx.post(f"{url}/predict", json=body_of(0))
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    answer = reply.json()
    assert answer["label"] in ("benign", "malignant")
    assert 0.5 <= answer["probability"] <= 1
    assert answer["model"] == version
    assert set(answer) == {"label", "probability", "model"}


@pytest.mark.parametrize("path", ["/healthz", "/health"])
def test_a_model_says_that_it_is_well(model: tuple[str, str], path: str) -> None:
    version, url = model
    assert httpx.get(f"{url}{path}").json() == {"status": "ok", "model": version}


@pytest.mark.parametrize(
    ("content", "status", "says"),
    [
        (b"", 400, "not JSON"),
        (b'{"features": ', 400, "not JSON"),
        (b'{"features": {"mean radius": NaN}}', 400, "not JSON"),
        (b"\xff", 400, "not JSON"),
        (b"[]", 422, "does not describe a row"),
        (b'{"clinic": "north"}', 422, "missing required field `features`"),
        (b'{"features": {"mean radius": "wide"}}', 422, "Expected `float`"),
        (b'{"features": {"mean radius": 3}}', 422, "29 of 30 features are missing"),
    ],
)
def test_wrong_input_is_the_clients_error_and_is_explained(
    model: tuple[str, str], content: bytes, *, status: int, says: str
) -> None:
    reply = httpx.post(f"{model[1]}/predict", content=content)
    assert reply.status_code == status
    assert says in reply.json()["error"]


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/predict", 405), ("POST", "/nowhere", 404)])
def test_wrong_addresses_are_explained_in_json(model: tuple[str, str], method: str, *, path: str, status: int) -> None:
    reply = httpx.request(method, f"{model[1]}{path}")
    assert reply.status_code == status
    assert reply.json()["error"]


def test_a_model_says_why_it_cannot_listen(model: tuple[str, str]) -> None:
    code, stderr = finished("model", "--version", "v1", "--listen", model[1].removeprefix("http://"))
    assert code == 1
    assert "choose another port" in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("arguments", [("--version", "v3", "--listen", "127.0.0.1:0"), ("--version", "v1", "--listen", "nowhere")])
def test_a_model_refuses_wrong_arguments(arguments: tuple[str, ...]) -> None:
    code, stderr = finished("model", *arguments)
    assert code == 2
    assert "error:" in stderr


def counts(line: str) -> dict[str, int]:
    """The counts of a summary line by their word."""
    return {word: int(count) for count, word in re.findall(r"(\d+) (requests|answered|failed|skipped|reported)", line)}


def test_clients_send_rows_and_then_their_true_labels(v2: str, control: ControlServer) -> None:
    code, stderr = finished(
        "traffic", "--target", v2, "--control", control.url, "--rate", "40", "--seconds", "3", "--seed", "5", key="k" * 20
    )
    assert code == 0
    last = stderr.splitlines()[-1]
    assert last.startswith("finished: ")
    assert "by v2 " in last
    truths = [truth for path, batch in control.batches for truth in batch if path == "/v1/feedback"]
    number = counts(last)
    assert number["answered"] == number["requests"] == number["reported"] == len(truths) > 60
    assert len({truth["request_id"] for truth in truths}) == len(truths)
    assert {truth["value"] for truth in truths} == {"benign", "malignant"}
    assert {truth["source"] for truth in truths} == {"demo"}
    assert control.authorizations == {f"Bearer {'k' * 20}"}
    share = re.search(r"([\d.]+) % right", last)
    assert share
    assert float(share[1]) > 70


def test_feedback_is_told_again_when_the_control_plane_was_briefly_ill(v2: str, control: ControlServer) -> None:
    control.refuse = 1
    _, stderr = finished("traffic", "--target", v2, "--control", control.url, "--rate", "30", "--seconds", "4")
    number = counts(stderr.splitlines()[-1].split("feedback:")[1])
    assert number["failed"] == 0
    assert number["reported"] == sum(len(batch) for _, batch in control.batches) > 50


def test_traffic_goes_on_without_a_control_plane(v2: str) -> None:
    with ControlServer() as gone:
        nobody = gone.url
    code, stderr = finished("traffic", "--target", v2, "--control", nobody, "--rate", "40", "--seconds", "3")
    assert code == 0
    traffic, feedback = stderr.splitlines()[-1].split("feedback:")
    assert counts(traffic)["answered"] > 60
    assert counts(traffic)["failed"] == 0
    assert counts(feedback) == {"reported": 0, "failed": counts(traffic)["answered"]}


def test_clients_count_what_a_dead_model_does_not_answer() -> None:
    with ControlServer() as gone:
        nobody = gone.url
    code, stderr = finished("traffic", "--target", nobody, "--rate", "40", "--seconds", "1")
    assert code == 1
    number = counts(stderr.splitlines()[-1].split("feedback:")[0])
    assert number["failed"] == number["requests"] > 20
    assert number["answered"] == 0


def test_clients_end_early_and_tidily_when_they_are_told_to(v2: str, control: ControlServer) -> None:
    process = started("traffic", "--target", v2, "--control", control.url, "--rate", "50", "--seconds", "600")
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=30)
    assert process.returncode == 0
    assert counts(first)["answered"] > 300
    number = counts(rest.splitlines()[-1])
    assert rest.startswith("finished: ")
    assert number["reported"] == number["answered"] == number["requests"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--target", "nowhere"),
        ("--target", "http://127.0.0.1:1", "--rate", "0"),
        ("--target", "http://127.0.0.1:1", "--seconds", "x"),
    ],
)
def test_clients_refuse_wrong_arguments(arguments: tuple[str, ...]) -> None:
    code, stderr = finished("traffic", *arguments)
    assert code == 2
    assert "error:" in stderr
