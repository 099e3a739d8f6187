"""Programs that this one starts, watches and stops."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Self

from modelctl.errors import ModelctlError

_GRACE = 10.0
_LOG_END = 400


class Stopped(BaseException):
    """SIGTERM arrived: stop the children and leave. Like KeyboardInterrupt it is no Exception, so that nothing swallows it."""


class Child(NamedTuple):
    """A running program. `needed`: the others make no sense without it."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    needed: bool

    def fault(self) -> ModelctlError:
        """Why it is gone: its exit code and the end of what it wrote."""
        said = self.log.read_text(errors="replace").strip()[-_LOG_END:]
        return ModelctlError(
            f"{self.name} ended with exit code {self.process.returncode}; it wrote to {self.log}: {said or 'nothing'}"
        )


class Children:
    """Children stop in the opposite order of their start, each with SIGTERM, and SIGKILL when ten seconds were not enough.

    They stand in sessions of their own, so that Ctrl-C reaches this program alone and the order is kept.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._children: list[Child] = []
        self._before = signal.signal(signal.SIGTERM, _stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A second Ctrl-C must not leave children behind.
        interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for child in reversed(self._children):
            _end(child.process)
        signal.signal(signal.SIGINT, interrupt)
        signal.signal(signal.SIGTERM, self._before)

    def start(self, name: str, arguments: list[str], *, environment: Mapping[str, str], needed: bool = True) -> None:
        """Starts `python -m` with `arguments`; what it prints goes to a file named after it."""
        log = self._logs / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-P", "-m", *arguments],
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append(Child(name, process, log, needed))

    def check(self) -> None:
        """Raises ModelctlError when a child that is needed has ended."""
        for child in self._children:
            if child.needed and child.process.poll() is not None:
                raise child.fault()

    def wait_until(self, ready: Callable[[], bool], *, what: str, within: float) -> None:
        """Returns when `ready` says so. Raises ModelctlError when a child ends first, or after `within` seconds."""
        deadline = time.monotonic() + within
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                raise ModelctlError(f"{what} was not ready after {within:.0f} seconds; see the files in {self._logs}")
            time.sleep(0.1)

    def watch(self) -> None:
        """Never returns: raises ModelctlError when a needed child ends, Stopped or KeyboardInterrupt when asked to stop."""
        while True:
            self.check()
            time.sleep(0.5)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise Stopped


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
