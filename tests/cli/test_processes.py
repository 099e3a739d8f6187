"""The program with real processes: a control plane, everything at once, the demonstration, the schema."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

import modelctl as package
from tests.ports import free_port

if TYPE_CHECKING:
    from tests.cli.conftest import Run

KEY = "a-key-that-only-tests-know"


@contextmanager
def program(*arguments: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """`modelctl` as a process; ended when the test is."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MODELCTL_")}
    root = str(Path(package.__file__).parents[1])
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "modelctl", *arguments],
            env={**clean, "PYTHONPATH": root, **environment},
            cwd=log.parent,
            stdout=out,
            stderr=out,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], *, log: Path) -> None:
    deadline = time.monotonic() + 60
    while not ready():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


def test_a_control_plane_alone_keeps_its_rules_and_says_that_no_router_listens(
    tmp_path: Path, modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    log = tmp_path / "log"
    words = ["controlplane", "--control", url.removeprefix("http://"), "--data-dir", str(tmp_path / "data")]
    with program(*words, log=log, MODELCTL_KEY=KEY) as process:
        wait_until(lambda: answers(f"{url}/livez"), process, log=log)
        monkeypatch.setenv("MODELCTL_URL", url)
        monkeypatch.delenv("MODELCTL_KEY", raising=False)
        assert modelctl("backend", "list").code == 4
        monkeypatch.setenv("MODELCTL_KEY", KEY)
        assert modelctl("backend", "add", "fraud-v6", "http://127.0.0.1:1").code == 0
        assert modelctl("backend", "add", "fraud-v6", "http://127.0.0.1:1").code == 5
        assert modelctl("backend", "add", "fraud-v7", "ftp://127.0.0.1:2").code == 2
        assert modelctl("backend", "add", "fraud-v7", "http://127.0.0.1:2", "--type", "label").code == 0
        assert modelctl("backend", "list", "-o", "name").out == "fraud-v6\nfraud-v7\n"
        assert modelctl("route", "add", "fraud", "--path", "/fraud", "--backend", "fraud-v6").code == 0
        assert modelctl("route", "show", "nothing").code == 1
        started = modelctl("canary", "--percent", "5", "--steps", "5,50")
        assert started.code == 1
        assert "no router is connected" in started.err
        assert "candidate 'fraud-v7', because" in started.out
        assert modelctl("backend", "remove", "fraud-v7", "--yes").code == 5
        assert modelctl("resume").code == 5
        assert modelctl("rollback", "--to", "1").code == 5
        assert modelctl("status", "--wait", "promoted", "--timeout", "1s").code == 3
        assert "canary 1 · progressing · step 1 of 2: 5% to fraud-v7" in modelctl("status").out
        assert modelctl("doctor").code == 1
        assert modelctl("report").out.startswith("NO-DATA  No evidence yet")
        assert modelctl("report", "-o", "md").out.startswith("# fraud: no-data\n")
        assert modelctl("report", "-o", "json").json["report_version"] == 1
        assert modelctl("feedback", "send", "req-1", "fraud").out.startswith("1 accepted · 0 known before · 1 whose request")
        assert modelctl("feedback", "send", "req-1", "ok").code == 5
        assert modelctl("backend", "test", "fraud-v7", "--sample", str(log)).code == 1
        assert modelctl("abort", "-o", "json").json["rollout"]["phase"] == "rolled-back"
        assert modelctl("status", "--wait", "promoted").code == 1
        history = modelctl("history", "-o", "json").json["items"]
        assert [event["action"] for event in history[:2]] == ["rollback", "start"]
        assert modelctl("route", "remove", "fraud", "--yes").code == 0
        assert modelctl("backend", "remove", "fraud-v7", "--yes").code == 0


def test_files_in_the_working_directory_do_not_take_the_place_of_pythons_own(tmp_path: Path) -> None:
    for name in ("random", "queue", "statistics", "modelctl"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a file of the user was imported')")
    log = tmp_path / "log"
    control = f"127.0.0.1:{free_port()}"
    with program("serve", "--listen", f"127.0.0.1:{free_port()}", "--control", control, log=log) as process:
        wait_until(lambda: answers(f"http://{control}/readyz"), process, log=log)
    assert "a file of the user" not in log.read_text()


def test_serve_runs_everything_and_a_promotion_is_live_on_its_router_at_once(
    tmp_path: Path, modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, listen = f"http://127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    log = tmp_path / "log"
    words = ["--control", url.removeprefix("http://"), "--listen", listen, "--data-dir", str(tmp_path / "data")]
    with program("serve", *words, log=log) as process:
        monkeypatch.setenv("MODELCTL_URL", url)
        monkeypatch.delenv("MODELCTL_KEY", raising=False)
        wait_until(lambda: modelctl("doctor").code == 0, process, log=log)
        modelctl("backend", "add", "fraud-v6", "http://127.0.0.1:1")
        modelctl("backend", "add", "fraud-v7", "http://127.0.0.1:2")
        assert modelctl("route", "add", "fraud", "--path", "/fraud", "--backend", "fraud-v6").code == 0
        started = modelctl("blue-green")
        assert started.code == 0
        assert "live on 1 of 1 workers after" in started.out
        assert modelctl("promote", "--reason", "green").out.startswith("promoted fraud-v7 on route fraud · table 5 live on 1 of 1")
        assert modelctl("undo").out.startswith("put fraud-v6 back as the baseline of route fraud · table 6 live on 1 of 1")
    assert process.returncode == 0


@pytest.mark.parametrize(("stop", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_the_demo_runs_two_models_under_traffic_and_ends_all_of_it(
    tmp_path: Path, modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch, stop: signal.Signals, code: int
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    log = tmp_path / "log"
    words = ["--control", url.removeprefix("http://"), "--listen", f"127.0.0.1:{free_port()}", "--rate", "50", "--seconds", "30"]
    with program("demo", *words, log=log) as process:
        wait_until(lambda: "modelctl history" in log.read_text(), process, log=log)
        monkeypatch.setenv("MODELCTL_URL", url)
        monkeypatch.delenv("MODELCTL_KEY", raising=False)
        assert f"export MODELCTL_URL={url}" in log.read_text()
        assert modelctl("shadow", "--percent", "100").code == 0
        wait_until(lambda: "paired 0" not in modelctl("status").out, process, log=log)
        assert modelctl("rollback").code == 0
        process.send_signal(stop)
        assert process.wait(30) == code
    assert not answers(f"{url}/livez")
    assert {file.name for file in (tmp_path / ".modelctl/demo/logs").iterdir()} == {
        "cancer-v1.log",
        "cancer-v2.log",
        "serve.log",
        "traffic.log",
    }


@pytest.mark.parametrize("flag", ["--listen", "--control"])
def test_a_port_in_use_is_one_error_that_names_the_flag(tmp_path: Path, modelctl: "Run", *, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        other = {"--listen": "--control", "--control": "--listen"}[flag]
        ran = modelctl("demo", flag, f"127.0.0.1:{taken.getsockname()[1]}", other, f"127.0.0.1:{free_port()}")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert f"choose another port with {flag} HOST:PORT" in ran.err
    assert not (tmp_path / ".modelctl").exists()


def test_the_demo_never_deletes_a_folder_it_has_not_made(tmp_path: Path, modelctl: "Run") -> None:
    (tmp_path / "precious").write_text("data")
    ports = ["--listen", f"127.0.0.1:{free_port()}", "--control", f"127.0.0.1:{free_port()}"]
    ran = modelctl("demo", "--data-dir", str(tmp_path), *ports)
    assert ran.code == 2
    assert "choose another folder with --data-dir" in ran.err
    assert (tmp_path / "precious").read_text() == "data"


def test_a_router_alone_serves_before_it_has_a_control_plane(tmp_path: Path) -> None:
    listen = f"127.0.0.1:{free_port()}"
    log = tmp_path / "log"
    words = ["--control", "http://127.0.0.1:1", "--listen", listen, "--data-dir", str(tmp_path / "data")]
    with program("router", *words, log=log) as process:

        def listens() -> bool:
            try:
                return httpx.get(f"http://{listen}/", trust_env=False).status_code >= 400
            except httpx.TransportError:
                return False

        wait_until(listens, process, log=log)
    assert process.returncode == 0


def test_a_router_needs_the_url_of_its_control_plane(modelctl: "Run") -> None:
    ran = modelctl("router", "--control", "127.0.0.1:8900")
    assert ran.code == 2
    assert "write it like http://127.0.0.1:8900" in ran.err


def test_a_recorder_alone_starts_and_ends_when_told(tmp_path: Path, modelctl: "Run") -> None:
    log, data = tmp_path / "log", tmp_path / "data"
    data.mkdir()
    assert modelctl("db", "upgrade", "--data-dir", str(data)).code == 0
    with program("recorder", "--data-dir", str(data), log=log) as process:
        wait_until(lambda: str(data) in log.read_text(), process, log=log)
    assert process.returncode == 0


def test_the_schema_is_upgraded_once_and_shown(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    root = str(Path(package.__file__).parents[1])

    def db(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "modelctl", "db", *words]
        return subprocess.run(command, env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=False)

    first, second = db("upgrade", "--database", url), db("upgrade", "--database", url)
    assert (first.returncode, second.returncode) == (0, 0)
    assert db("current", "--database", url).stdout.strip() in first.stdout + first.stderr
    assert db("upgrade", "--database", "mysql://x").returncode == 2
    assert db("current", "--database", f"sqlite:///{tmp_path}/no/such/folder/x.db").returncode == 1


def test_pruning_asks_unless_it_was_told_not_to(tmp_path: Path, modelctl: "Run") -> None:
    root = str(Path(package.__file__).parents[1])
    url = f"sqlite:///{tmp_path / 'x.db'}"

    def db(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "modelctl", "db", *words, "--database", url]
        environment = {**os.environ, "PYTHONPATH": root}
        return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    assert "has no schema yet" in db("prune", "--yes").stderr
    db("upgrade")
    planned = db("prune", "--older-than", "30d", "--dry-run")
    assert (planned.returncode, planned.stdout.split(":")[0]) == (0, "nothing")
    refused = db("prune", "--max-size", "10GiB")
    assert refused.returncode == 2
    assert "repeat the command with --yes" in refused.stderr
    done = db("prune", "--older-than", "30d", "--yes")
    assert (done.returncode, done.stdout.split(",")[0]) == (0, "removed 0 predictions")
    assert modelctl("db", "prune", "--older-than", "0s").code == 2
