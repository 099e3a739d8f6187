"""Processes of the benchmark: started and ended, and what a tree of them has used, from /proc and the CPU clocks of Linux."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PATIENCE = 30.0


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    """Until something accepts at `port`. Raises TimeoutError after 30 seconds."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nothing listens at port {port}")


@contextmanager
def running(command: list[str], port: int, environment: Mapping[str, str] | None = None) -> Iterator[int]:
    """The pid of a started command that answers at `port`. Killed with all it started: what it still has to do is not measured."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port)
        yield process.pid
    finally:
        for member in descendants(process.pid):  # the root first: it must not start anything again
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
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
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += parents.get(current, [])
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
