"""The whole program as its users run it: processes, commands, and what stands in the process table."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple, TypeVar

import httpx
import msgspec

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
T = TypeVar("T")


class Ran(NamedTuple):
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 whatever the command answers
        """Standard output, which must be JSON and nothing else."""
        return msgspec.json.decode(self.out)

    def done(self) -> "Ran":
        """Itself; the command must have succeeded."""
        assert self.code == 0, self
        return self


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This one's, with `settings` as MODELCTL_ variables and no others."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("MODELCTL_")}
    given = {f"MODELCTL_{name.upper()}": value for name, value in settings.items()}
    return {**clean, "PYTHONPATH": str(ROOT), "COLUMNS": "200"} | given


def modelctl(url: str, *words: str, **settings: str) -> Ran:
    """One command, typed as a user would."""
    command = [sys.executable, "-m", "modelctl", *words]
    given = environment({"url": url, **settings})
    ran = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)


def until(question: Callable[[], T], *, what: str, within: float = PATIENCE) -> T:
    """The first answer to `question` that is true. Fails when none comes in time."""
    deadline = monotonic() + within
    while not (answer := question()):
        assert monotonic() < deadline, f"{what}: not within {within} s"
        sleep(0.02)
    return answer


class Process:
    """`python -m MODULE`, with its standard error in a file."""

    def __init__(self, module: str, *arguments: str, log: Path, settings: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments], env=environment(settings), stdin=subprocess.DEVNULL, stderr=file
            )

    @property
    def said(self) -> str:
        """Its standard error so far."""
        return self.log.read_text(errors="replace")

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE + 20)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(PATIENCE)


class Program:
    """The supervisor and everything it starts, on free ports. `database` is a URL, or empty for the default."""

    def __init__(self, folder: Path, *, workers: int = 1, database: str = "", **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.data_dir = folder
        self.database_url = database or f"sqlite:///{folder / 'modelctl.db'}"
        self.port, self.control = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.control}"
        self.workers = workers
        given = {
            "data_dir": str(folder),
            "listen": f"127.0.0.1:{self.port}",
            "control": f"127.0.0.1:{self.control}",
            "workers": str(workers),
            "database": database,
            **settings,
        }
        self._process = Process("modelctl.supervisor", log=folder / "program.log", settings=given)
        self.pid = self._process.process.pid

    # -- asking

    def modelctl(self, *words: str, **settings: str) -> Ran:
        """One command against this program's control plane."""
        return modelctl(self.url, *words, **settings)

    def status(self) -> dict[str, Any]:
        """What GET /v1/status answers."""
        answer: dict[str, Any] = httpx.get(f"{self.url}/v1/status", timeout=10, trust_env=False).raise_for_status().json()
        return answer

    def ready(self) -> "Program":
        """Itself, once the control plane answers and every worker takes its tables."""
        until(self._serving, what="the program's start")
        return self

    def _serving(self) -> bool:
        assert self._process.process.poll() is None, self.said
        try:
            alive: int = sum(worker["alive"] for worker in self.status()["workers"])
        except httpx.HTTPError:
            return False
        return alive == self.workers

    @property
    def said(self) -> str:
        """Everything its processes wrote to standard error."""
        return self._process.said

    def pids(self, part: str) -> list[int]:
        """The processes of one part: router, recorder or controlplane."""
        return sorted(pid for pid in children(self.pid) if f"modelctl.{part}" in command_of(pid))

    # -- ending

    def kill(self, part: str, number: int = 0) -> int:
        """kill -9 of one process of a part; its process id."""
        pid = self.pids(part)[number]
        os.kill(pid, signal.SIGKILL)
        return pid

    def restarted(self, part: str, killed: int) -> None:
        """Returns when another process has taken the place of the killed one."""
        until(lambda: self._replaced(part, killed), what=f"a new {part}")

    def _replaced(self, part: str, killed: int) -> bool:
        pids = self.pids(part)
        return killed not in pids and len(pids) == (self.workers if part == "router" else 1)

    def signal(self, number: int) -> None:
        """Send a signal to the supervisor."""
        self._process.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        return self._process.stop()

    def end(self) -> None:
        """Whatever still runs ends now: the children die with the supervisor."""
        if self._process.process.poll() is None:
            self._process.kill()


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Program]:  # noqa: ANN401 those of Program
    """A program that is ready; it stops in order at the end, and none of its processes has shown a traceback."""
    program = Program(folder, **options)
    try:
        yield program.ready()
        if program._process.process.poll() is None:
            assert program.stop() == 0
    finally:
        program.end()
    assert "Traceback" not in program.said, program.said


def children(pid: int) -> list[int]:
    """The process ids of the children of `pid`."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> list[str]:
    """The command line of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def connections_of(pid: int, port: int) -> int:
    """How many connections that came in at `port` the process holds."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {line[9] for line in lines if int(line[1].split(":")[1], 16) == port and line[3] == "01"}
    names = (entry.readlink().name if entry.is_symlink() else "" for entry in Path(f"/proc/{pid}/fd").iterdir())
    return len(inodes & {name.removeprefix("socket:[").rstrip("]") for name in names})
