"""Processes of the benchmark: started and ended, and what a tree of them has used, from /proc and the CPU clocks of Linux."""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PATIENCE = 30.0
_LAST_MOMENT = 0.5


class EndedError(Exception):
    """A process ended that should have gone on."""


def wait_for(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Until something accepts at `port`. Raises TimeoutError after 30 seconds, or when `process` has ended."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens at port {port}")


@contextmanager
def running(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """The pid of a started command that answers at `port`. Killed with all it started: what it still has to do is not measured.

    Raises EndedError when it ended before, with its last words.
    """
    with tempfile.TemporaryFile() as words:
        environment = {**os.environ, **(environment or {})}
        process = subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True, stdout=words, stderr=words)
        try:
            wait_for(port, process)
            yield process.pid
        except Exception as error:
            if _runs_on(process):
                raise
            words.seek(0)
            said = words.read()[-2_000:].decode(errors="replace")
            raise EndedError(f"{' '.join(command)} ended with {process.returncode}: {said}") from error
        finally:
            _kill(process)


def _runs_on(process: subprocess.Popen[bytes]) -> bool:
    """A process that was killed closes its sockets a moment before it can be asked for its end."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(_LAST_MOMENT)
    return process.returncode is None


def _kill(process: subprocess.Popen[bytes]) -> None:
    tree = descendants(process.pid) if process.poll() is None else []
    for member in tree:  # the root first: it must not start anything again
        with suppress(ProcessLookupError):
            os.kill(member, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # what a root that ended before has left behind
    process.wait()


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def descendants(pid: int) -> list[int]:
    """`pid` and everything started below it that still runs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parents.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting += parents.get(current, [])
    return found


def cpu_seconds(pid: int) -> dict[int, float]:
    """User and system seconds of each process of the tree, to the nanosecond. The clock's number is clock_getcpuclockid(3)'s."""
    used = {}
    for member in descendants(pid):
        with suppress(OSError):
            used[member] = time.clock_gettime((~member << 3) | 2)
    return used


def spent(before: Mapping[int, float], after: Mapping[int, float]) -> dict[str, float]:
    """CPU seconds between two looks, by part of the program."""
    parts: dict[str, float] = {}
    for member, seconds in after.items():
        name = part(member)
        parts[name] = parts.get(name, 0.0) + seconds - before.get(member, 0.0)
    return parts


def resident_mib(pid: int) -> dict[str, float]:
    """Resident memory of the tree, by part of the program."""
    parts: dict[str, float] = {}
    for member in descendants(pid):
        with suppress(OSError):
            pages = int(Path(f"/proc/{member}/statm").read_text().split()[1])
            name = part(member)
            parts[name] = parts.get(name, 0.0) + pages * _PAGE / 2**20
    return parts


def part(pid: int) -> str:
    """Which part of the program a process is: the module it runs, or its program's name."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "gone"
    return words[words.index("-m") + 1] if "-m" in words else Path(words[0]).name
