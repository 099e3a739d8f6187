"""The process: how it starts, what it refuses, how it stops."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def run() -> Iterator[Run]:
    """Starts `python -m modelctl.controlplane` with arguments and settings; kills what is left at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, pass_fds: tuple[int, ...] = (), **settings: str) -> subprocess.Popen[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MODELCTL_")} | settings
        process = subprocess.Popen(
            [sys.executable, "-m", "modelctl.controlplane", *arguments],
            env=environment,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def listening(process: subprocess.Popen[str]) -> int:
    """The port it says that it listens on."""
    assert process.stderr is not None
    for line in process.stderr:
        message = msgspec.json.decode(line)["message"]
        if message.startswith("listening on"):
            return int(message.rpartition(", ")[2].rstrip(")"))
    raise AssertionError("it ended without listening")


def ready(port: int, path: str = "/livez") -> httpx.Response:
    deadline = time.monotonic() + 20
    while True:
        try:
            return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=20)
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_it_makes_its_sqlite_store_and_stops_quickly_though_a_router_polls(run: Run, tmp_path: Path) -> None:
    process = run("--control", "127.0.0.1:0", "--data-dir", str(tmp_path / "new" / "folder"))
    port = listening(process)
    assert ready(port, "/readyz").status_code == 200
    assert (tmp_path / "new" / "folder" / "modelctl.db").exists()
    with socket.create_connection(("127.0.0.1", port)) as poll:
        poll.sendall(b"GET /internal/table?worker=w0&after=9 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        while not httpx.get(f"http://127.0.0.1:{port}/v1/status").json()["workers"]:
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert poll.recv(100).startswith(b"HTTP/1.1 204")
        assert process.wait(timeout=10) == 0
    assert time.monotonic() - began < 3


def test_it_serves_from_an_inherited_socket(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = run("--fd", str(listener.fileno()), "--data-dir", str(tmp_path), pass_fds=(listener.fileno(),))
        port = listener.getsockname()[1]
        assert listening(process) == port
    assert ready(port).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        (("--control", "nowhere"), {}, "--control: 'nowhere' is not HOST:PORT"),
        (("--control", "0.0.0.0:0"), {}, "there is no key"),
        ((), {"MODELCTL_COLOUR": "red"}, "MODELCTL_COLOUR: no such setting"),
        (("--database", "mysql://x"), {}, "sqlite:/// or postgresql://"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_2(run: Run, arguments: tuple[str, ...], settings: dict[str, str], words: str) -> None:
    process = run(*arguments, **settings)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.count("\n")) == (2, 1)
    assert words in errors


def test_an_address_in_use_is_one_line_and_exit_2(run: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = run("--control", f"127.0.0.1:{taken.getsockname()[1]}", "--data-dir", str(tmp_path))
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.count("\n")) == (2, 1)
    assert "in use" in errors


def test_a_postgresql_without_the_schema_is_one_line_that_says_what_to_run_and_exit_1(run: Run, empty_postgres_url: str) -> None:
    process = run("--control", "127.0.0.1:0", "--database", empty_postgres_url)
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.count("\n")) == (1, 1)
    assert "modelctl db upgrade --database" in errors


def test_a_sqlite_file_that_is_no_database_is_one_line_and_exit_1(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "modelctl.db"
    file.write_text("this is not a database at all, but long enough to look at" * 10)
    process = run("--control", "127.0.0.1:0", "--database", f"sqlite:///{file}")
    _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors.count("\n")) == (1, 1)


def test_it_starts_without_its_postgresql_and_says_so_to_who_asks(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = run("--control", "127.0.0.1:0", "--database", f"postgresql://nobody@127.0.0.1:{port}/none")
    control = listening(process)
    assert ready(control).status_code == 200
    refused = ready(control, "/v1/status")
    assert (refused.status_code, refused.json()["code"]) == (503, "store-error")
