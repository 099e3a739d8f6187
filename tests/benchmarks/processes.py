"""What a tree of processes has used: CPU seconds by process and resident memory, from /proc."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def _stat(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()


def descendants(pid: int) -> list[int]:
    """`pid` and everything started below it that still runs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
            except OSError:
                continue
    found, todo = [], [pid]
    while todo:
        current = todo.pop()
        found.append(current)
        todo += parents.get(current, [])
    return found


def cpu_seconds(pid: int) -> dict[int, float]:
    """User and system seconds of each process of the tree."""
    used = {}
    for member in descendants(pid):
        try:
            fields = _stat(member)
        except OSError:
            continue
        used[member] = (int(fields[11]) + int(fields[12])) / _TICKS
    return used


def resident_mib(pid: int) -> float:
    """Resident memory of the tree."""
    pages = 0
    for member in descendants(pid):
        try:
            pages += int(Path(f"/proc/{member}/statm").read_text().split()[1])
        except OSError:
            continue
    return pages * _PAGE / 2**20


def part(pid: int) -> str:
    """Which part of the program a process is: the module it runs, or its program's name."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return "gone"
    return words[words.index("-m") + 1] if "-m" in words else Path(words[0]).name
