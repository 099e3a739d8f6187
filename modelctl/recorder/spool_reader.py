"""Reads one spool: a folder of segments that a worker appends to while it lives.

What no frame can be made of is waited for while it may still grow, and skipped and counted when it cannot: a segment is
*final* when a later one exists or when its owner, who holds a lock while it lives, is dead. Whether a segment is final is found out
before it is read, so that nothing written in between is missed.

A worker ends each write with a tally, and takes a write back that a full disk cut short. So in a segment that may still grow, only
frames before a tally are taken: what the worker takes back has none.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from modelctl.errors import Corrupt
from modelctl.evidence import HEADER, LOCK_FILE, SEGMENT_SUFFIX, Tally, frame, frames, segment_name

READ_BYTES = 2 * 1024 * 1024
# A folder this young may belong to a worker that has not taken its lock yet.
GRACE = 5.0
# A record's tag stands behind the first byte of its payload: tallies are told from others without decoding them.
_TALLY_TAG = frame(Tally(0, 0, {}))[HEADER.size + 1 : HEADER.size + 3]


class Position(NamedTuple):
    """A place in a spool: everything before it was read."""

    segment: int = 0
    offset: int = 0


class Located(msgspec.Struct, frozen=True, gc=False):
    """One frame's payload, the segment it stands in, where it begins there, and where the next one does."""

    payload: bytes
    segment: int
    offset: int
    behind: int

    @property
    def start(self) -> Position:
        """Where the frame begins."""
        return Position(self.segment, self.offset)

    @property
    def end(self) -> Position:
        """Where the next one begins."""
        return Position(self.segment, self.behind)


class Chunk(NamedTuple):
    """The frames behind a position, in their order, and the position behind them. `corrupt_bytes` were skipped."""

    frames: tuple[Located, ...]
    end: Position
    corrupt_bytes: int = 0

    def __bool__(self) -> bool:
        return bool(self.frames or self.corrupt_bytes)


class SpoolReader:
    """Reads from positions that its caller keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self._fruitless: tuple[Position, int] | None = None

    def read(self, position: Position, limit: int) -> Chunk:
        """At most `limit` frames from `position`, all of one segment; an empty chunk when there is nothing to read (yet)."""
        with _ownerless(self.folder) as dead:
            pass
        numbers = self._segments()
        for number in numbers:
            if number < position.segment:
                continue
            start = position if number == position.segment else Position(number)
            chunk = self._read_segment(start, limit, final=dead or number != numbers[-1])
            if chunk:
                return chunk
        return Chunk((), position)

    def clear(self, position: Position) -> bool:
        """Deletes the segments wholly before `position`, which must be committed. True if the whole spool is over and gone."""
        with _ownerless(self.folder) as dead:
            numbers = self._segments()
            done = [number for number in numbers if self._is_behind(number, position)]
            for number in done:
                if dead or number != numbers[-1]:
                    self._path(number).unlink()
            if not dead or done != numbers:
                return False
            (self.folder / LOCK_FILE).unlink(missing_ok=True)
            with suppress(OSError):  # somebody put another file there: it stays, and so does the folder
                self.folder.rmdir()
            return True

    def _is_behind(self, number: int, position: Position) -> bool:
        if number < position.segment:
            return True
        read = position.offset if number == position.segment else 0
        return self._path(number).stat().st_size <= read

    def _read_segment(self, start: Position, limit: int, *, final: bool) -> Chunk:
        with self._path(start.segment).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= start.offset or (not final and self._fruitless == (start, size)):
                return Chunk((), start)
            found = _frames_from(file.fileno(), start, limit=limit, open_end=not final)
        if found:
            return Chunk(found, found[-1].end)
        if final:
            return Chunk((), Position(start.segment, size), corrupt_bytes=size - start.offset)
        self._fruitless = (start, size)
        return Chunk((), start)

    def _segments(self) -> list[int]:
        names = (name.removesuffix(SEGMENT_SUFFIX) for name in _names(self.folder) if name.endswith(SEGMENT_SUFFIX))
        return sorted(int(name) for name in names if name.isdecimal())

    def _path(self, number: int) -> Path:
        return self.folder / segment_name(number)


def spools(root: Path) -> list[Path]:
    """The folders of `root` that are spools: those with a lock or a segment."""
    return sorted(folder for folder in root.iterdir() if folder.is_dir() and _is_spool(folder))


def _is_spool(folder: Path) -> bool:
    return any(name == LOCK_FILE or name.endswith(SEGMENT_SUFFIX) for name in _names(folder))


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


@contextmanager
def _ownerless(folder: Path) -> Iterator[bool]:
    """Whether the spool's owner is dead. If so, its lock is held for the length of the block."""
    if time.time() - folder.stat().st_mtime < GRACE:
        yield False
        return
    try:
        lock = os.open(folder / LOCK_FILE, os.O_RDWR)
    except FileNotFoundError:
        yield True
        return
    try:
        yield _locked(lock)
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _frames_from(file: int, start: Position, *, limit: int, open_end: bool) -> tuple[Located, ...]:
    """The frames of `file` from `start` on that can be taken now. One that is larger than a read comes alone."""
    data = os.pread(file, READ_BYTES, start.offset)
    # A write larger than a read does not show its tally: progress matters more then.
    found = _whole_frames(data, start, limit=limit, open_end=open_end and len(data) < READ_BYTES)
    return found or _whole_frames(_large_frame(file, start.offset), start, limit=limit, open_end=False)


def _whole_frames(data: bytes, start: Position, *, limit: int, open_end: bool) -> tuple[Located, ...]:
    """The frames at the beginning of `data`, read at `start`, up to one that is corrupt or not all there; at most `limit`.

    With an `open_end`, those before a tally only.
    """
    found: list[Located] = []
    taken, segment, origin = 0, start.segment, start.offset
    behind = origin
    with suppress(Corrupt):
        for payload, end in frames(data):
            found.append(Located(payload, segment, behind, origin + end))
            behind = origin + end
            if not open_end or payload[1:3] == _TALLY_TAG:
                taken = len(found)
            if taken and len(found) >= limit:
                break
    return tuple(found[: min(taken, limit)])


def _large_frame(file: int, offset: int) -> bytes:
    """The bytes of the frame at `offset` when it is larger than one read and all there; nothing otherwise."""
    header = os.pread(file, HEADER.size, offset)
    if len(header) < HEADER.size:
        return b""
    length, _checksum, _version = HEADER.unpack(header)
    available = os.fstat(file).st_size - offset
    wanted = HEADER.size + length
    return os.pread(file, wanted, offset) if READ_BYTES < wanted <= available else b""
