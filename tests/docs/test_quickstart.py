"""What the quickstart says to type works, in its order, against the demonstration it says to start."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.program import environment, modelctl
from tests.docs.site import DOCS, typed_commands
from tests.ports import free_port

PATIENCE = 90


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[str]:
    """The demonstration on free ports, with more traffic than usual; the URL of its control plane."""
    clients, control = free_port(), free_port()
    listens = ["--listen", f"127.0.0.1:{clients}", "--control", f"127.0.0.1:{control}", "--data-dir", str(tmp_path / "demo")]
    command = [sys.executable, "-m", "modelctl", "demo", "--rate", "60", *listens]
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, env={**os.environ, **environment({})}, stdout=log, stderr=log, start_new_session=True)
    try:
        yield f"http://127.0.0.1:{control}"
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE)
    finally:
        process.kill()
        process.wait()


def recorded(url: str, path: str, wanted: int) -> None:
    """Returns when so many rows of a list are there."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            found = httpx.get(f"{url}{path}", params={"limit": wanted}, timeout=10, trust_env=False).json().get("items", [])
        except httpx.TransportError:
            found = []
        if len(found) >= wanted:
            return
        assert time.monotonic() < deadline, f"{path} has {len(found)} rows"
        time.sleep(0.2)


@pytest.mark.slow
def test_every_command_of_the_quickstart_does_what_it_is_said_to(demo: str) -> None:
    recorded(demo, "/v1/predictions", 20)
    said: dict[str, str] = {}
    commands = typed_commands(DOCS / "quickstart.md")
    assert len(commands) > 8
    for words in commands:
        ran = modelctl(demo, *words)
        assert ran.code == 0, (words, ran)
        said[" ".join(words)] = ran.out
        if words[0] == "shadow":
            recorded(demo, "/v1/pairs", 300)
    assert "north" in said["report"]
    assert len(said["predictions --where agree=no and clinic=north --limit 3"].splitlines()) == 5
    assert "cancer-v1" in said["status"]
