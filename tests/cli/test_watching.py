"""`status -w` on a terminal and in a pipe, given what a control plane answers."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import modelctl as package
from tests.cli.answers import answer, replaced
from tests.cli.test_status import ROLLOUT, STATUS

if TYPE_CHECKING:
    from tests.cli.conftest import Double

PATIENCE = 30
ENVIRONMENT = {"PYTHONPATH": str(Path(package.__file__).parents[1]), "PYTHONUNBUFFERED": "1", "TERM": "xterm"}
CALM = replaced(STATUS, evidence=replaced(STATUS.evidence, lag=None))
PAUSED = replaced(CALM, routes=(replaced(CALM.routes[0], rollout=replaced(ROLLOUT, phase="paused")),))


class Terminal:
    """A terminal of 80 columns and 50 lines, on which `modelctl status -w` runs."""

    def __init__(self, master: int, control: "Double") -> None:
        self._master, self._control, self.text = master, control, ""

    def until(self, wanted: str) -> None:
        """Returns when this was written."""
        deadline = time.monotonic() + PATIENCE
        while wanted not in self.text:
            assert time.monotonic() < deadline, self.text
            self._take(0.1)

    def looks(self, count: int) -> None:
        """Returns after so many more questions to the control plane, and what they made the program write."""
        deadline, wanted = time.monotonic() + PATIENCE, len(self._control.asked) + count
        while len(self._control.asked) < wanted:
            assert time.monotonic() < deadline
            self._take(0.1)
        self._take(0.3)

    def _take(self, seconds: float) -> None:
        while select.select([self._master], [], [], seconds)[0]:
            with suppress(OSError):
                self.text += os.read(self._master, 65_536).decode()


@contextmanager
def terminal(control: "Double") -> Iterator[Terminal]:
    """The terminal; Ctrl-C ends the program with 130."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 80, 0, 0))
    clean = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR")}
    command = [sys.executable, "-m", "modelctl", "status", "-w"]
    process = subprocess.Popen(command, env={**clean, **ENVIRONMENT}, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    try:
        yield Terminal(master, control)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
        os.close(master)


def lines_of(text: str) -> list[str]:
    """What a person reads of it."""
    return [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", one).rstrip() for one in text.splitlines()]


def test_a_terminal_is_written_to_only_when_the_picture_changed(control: "Double") -> None:
    control.answers("GET", "/v1/status", answer(CALM))
    with terminal(control) as shown:
        shown.until("nothing recorded yet")
        shown.looks(1)
        before = shown.text
        shown.looks(2)
        assert shown.text == before
        control.answers("GET", "/v1/status", answer(PAUSED))
        shown.until("canary 7 · paused")
        assert "\x1b[2J" not in shown.text[len(before) :], "a screen that is cleared before it is drawn flickers"


def test_a_tree_fits_a_terminal_of_80_columns(control: "Double") -> None:
    control.answers("GET", "/v1/status", answer(CALM))
    with terminal(control) as shown:
        shown.until("nothing recorded yet")
        lines = lines_of(shown.text)
    assert max(len(one) for one in lines) <= 80
    text = " ".join(" ".join(lines).split())
    for said in (
        "fraud api.example/fraud",
        "canary 7 · progressing",
        "fraud-v7 (candidate): answers 5%, shown 20%",
        "95.12%",
        "verdict continue",
        "951",
        "0.21%",
    ):
        assert said in text, text


def test_a_pipe_gets_a_line_for_each_change(control: "Double", tmp_path: Path) -> None:
    control.answers("GET", "/v1/status", answer(CALM), answer(replaced(CALM, at=5_000)), answer(PAUSED))
    log = tmp_path / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "modelctl", "status", "-w"], env={**os.environ, **ENVIRONMENT}, stdout=out, stderr=out
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while "paused" not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
    lines = [re.sub(r"^\d\d:\d\d:\d\d ", "", one) for one in log.read_text().splitlines()]
    rest = "step 1 of 3: 5% to fraud-v7 · fraud-v6 95% · fraud-v7 5%, shown 20% · verdict continue"
    assert lines == [
        f"fraud: canary 7 · progressing · {rest}",
        "table 12 · workers: 1 connected",
        f"fraud: canary 7 · paused · {rest}",
    ]
