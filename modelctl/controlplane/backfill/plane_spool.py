"""A spool that the control plane writes: a worker's, in its form, so that a recorder on this machine reads it like any other."""

import fcntl
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from modelctl.evidence import LOCK_FILE, SEGMENT_SUFFIX, Compared, Record, Served, Tally, frame, segment_name

SEGMENT_BYTES = 8 * 1024 * 1024
MOST_BYTES = 4 * SEGMENT_BYTES


class PlaneSpool:
    """Made on first use of a folder that nobody else has, and locked until it is closed. Every method may wait for the disk."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._lock = (folder / LOCK_FILE).open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._segment = 1
        self._accepted = 0

    @property
    def full(self) -> bool:
        """Whether the recorder has to read before more may be written."""
        size = 0
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # the recorder takes away what it has read
                size += path.stat().st_size if path.suffix == SEGMENT_SUFFIX else 0
        return size >= MOST_BYTES

    def write(self, records: Sequence[Served | Compared]) -> None:
        """Appends the records and their tally, and syncs them. Raises OSError: nothing of them is there then."""
        accepted = self._accepted + len(records)
        frames: list[Record] = [*records, Tally(accepted, accepted, {})]
        data = b"".join([frame(record) for record in frames])
        size = _append(self._folder / segment_name(self._segment), data)
        self._accepted = accepted
        if size >= SEGMENT_BYTES:
            self._segment += 1
            (self._folder / segment_name(self._segment)).touch()

    def close(self) -> None:
        """Leaves it to the recorder, which takes it away when it has read it."""
        self._lock.close()


def _append(path: Path, data: bytes) -> int:
    """The size of the file with `data` behind it, on the disk; raises OSError, and takes back what there was no room for."""
    with path.open("ab", buffering=0) as file:
        before = file.tell()
        try:
            written = file.write(data)
            os.fdatasync(file.fileno())
        except OSError:
            written = 0
        if written < len(data):
            os.ftruncate(file.fileno(), before)
            raise OSError(f"the disk has no room for {len(data)} bytes in {path}")
    return before + len(data)
