"""A real file system of a few megabytes that a test may fill: a tmpfs, mounted here or in a name space of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

NEEDED = "mount"
"""What the mark `external` calls it."""


_FILES = 2_000


class SmallDisk:
    """`folder` is the file system's root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @property
    def free(self) -> int:
        """Bytes that anybody may still write."""
        disk = os.statvfs(self.folder)
        return disk.f_bavail * disk.f_frsize

    def use_up_names(self) -> None:
        """No file can be created any more, however small."""
        taken = self.folder / "names"
        taken.mkdir()
        number = 0
        with suppress(OSError):
            while True:
                (taken / str(number)).touch()
                number += 1

    def fill(self, leave: int = 0) -> None:
        """Somebody else's file takes what is there but for `leave` bytes."""
        with self._filler.open("ab", buffering=0) as file:
            while (room := self.free - leave) > 0:
                try:
                    if not file.write(b"\0" * min(room, 1 << 20)):
                        return
                except OSError:
                    return

    def make_room(self) -> None:
        """What was put there is deleted."""
        self._filler.unlink(missing_ok=True)
        shutil.rmtree(self.folder / "names", ignore_errors=True)


@contextmanager
def small_disk(size: int) -> Iterator[SmallDisk]:
    """One of `size` bytes. Raises OSError where neither mounts nor name spaces are to be had."""
    with TemporaryDirectory(prefix="disk") as folder:
        if _mounted(size, folder):
            try:
                yield SmallDisk(Path(folder))
            finally:
                subprocess.run(["umount", "--lazy", folder], check=True)
            return
        with _apart(size, folder) as root:
            yield SmallDisk(root)


@cache
def missing() -> list[str]:
    """NEEDED, where no small disk can be made."""
    try:
        with small_disk(1 << 20) as disk:
            return [] if disk.free <= 1 << 20 else [NEEDED]
    except OSError:
        return [NEEDED]


def _mounted(size: int, folder: str) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes={_FILES}", "tmpfs", folder]
    try:
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
    except FileNotFoundError:
        return False


@contextmanager
def _apart(size: int, folder: str) -> Iterator[Path]:
    """Mounted in a user's own name space, and reached through the process that is in it."""
    inside = f"mount -t tmpfs -o size={size},nr_inodes={_FILES} tmpfs {folder} && echo mounted && exec cat"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        try:
            if holder.stdout.readline() != "mounted\n":
                raise PermissionError("neither mount nor unshare may be used here")
            yield Path(f"/proc/{holder.pid}/root{folder}")
        finally:
            holder.stdin.close()
