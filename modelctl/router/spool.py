"""The spool: records of a worker, appended to segments on its disk by a thread, never waited for by a request.

The event loop appends frames to a bounded buffer and hands the buffer to the thread at most BATCH_SECONDS later, or
BUSY_BATCH_SECONDS while more than BUSY_RATE records a second arrive: each hand-over makes the two compete for the interpreter,
which at 5 ms cost a tenth of the CPU of a busy worker. The thread makes one `write` per batch, with a Tally at its end, and
has it synced to the disk, by a Syncer at most SYNC_SECONDS later, or by itself after each batch, or never, as its policy says.
What does not fit, in memory or on the disk, is dropped newest first and counted. A batch that cannot be written whole is taken
back.
"""

import errno
import fcntl
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from modelctl.counts import BUFFER_FULL, DISK_FULL, SPOOL_FULL, WRITE_FAILED
from modelctl.evidence import HEADER, LOCK_FILE, SEGMENT_SUFFIX, Dropped, Tally, frame, framed, header, segment_name
from modelctl.router.alarm import Alarm
from modelctl.router.drops import DropBook
from modelctl.router.roster import Report, unheard
from modelctl.router.syncer import Syncer, sync_folder
from modelctl.settings import EACH_BATCH, IN_INTERVALS, NEVER

BATCH_SECONDS = 0.005
BUSY_BATCH_SECONDS = 0.02
BUSY_RATE = 10_000
BATCH_BYTES = 256 * 1024
WORTH_COPYING = 16 * 1024  # bytes up to which putting pieces together costs less than a longer system call
MAX_PIECES = 1_000  # of one system call; Linux takes 1,024
SYNC_SECONDS = 0.2
SEGMENT_BYTES = 64 * 1024 * 1024
SEGMENT_IDLE_SECONDS = 10.0
SHORTAGE_SECONDS = 1.0
DISK_FREE_SHARE = 0.10

_WHY = {
    SPOOL_FULL: "the spool has its most bytes (MODELCTL_SPOOL_MAX_BYTES): does the recorder run, and does the database answer?",
    DISK_FULL: f"less than {DISK_FREE_SHARE:.0%} of its disk is free: make room",
    WRITE_FAILED: "its folder or disk cannot be written",
}

# A worker that starts on such a disk serves, and counts what it drops until it can write.
_PASSING = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


class Batch(NamedTuple):
    """What the loop hands to the thread: the bytes of `records` frames, and how many records were dropped before them in all.

    `told` is called when they are written, and synced where each batch is, or dropped. `drops` says whose the dropped ones were,
    of those it did not say before.
    """

    pieces: list[bytes]
    records: int
    size: int
    dropped: int
    told: Callable[[], object] | None = None
    drops: tuple[Dropped, ...] = ()


_NOTHING = Batch([], 0, 0, 0)


class Spool:
    """The loop's side. `later(seconds, callback)` schedules on the loop (`loop.call_later`)."""

    unwaited = 0  # answers that went out before their records, where answers wait for them
    _told: Callable[[], object] | None = None

    def __init__(self, writer: "SpoolWriter", later: Callable[[float, Callable[[], None]], object], *, max_bytes: int) -> None:
        self._writer = writer
        self._later = later
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._count = 0
        self._size = 0
        self._dropped = 0
        self._drops = DropBook()
        self._scheduled = False
        self._pause = BATCH_SECONDS

    @property
    def writer(self) -> "SpoolWriter":
        """The thread's side."""
        return self._writer

    def append(self, payload: bytes) -> None:
        """Take over an encoded record, or count it as dropped."""
        size = HEADER.size + len(payload)
        if self._size + self._writer.backlog + size > self._max_bytes:
            self._dropped += 1
            self._drops.note(payload, BUFFER_FULL)
        else:
            self._size += size
            self._count += 1
            if size < WORTH_COPYING:
                self._pieces.append(framed(payload))
            else:
                self._pieces += (header(payload), payload)
        if not self._scheduled:
            self._scheduled = True
            self._later(self._pause, self._hand_over)
        elif self._size > BATCH_BYTES:
            self.flush()

    def _hand_over(self) -> None:
        self._scheduled = False
        self._pause = BUSY_BATCH_SECONDS if self._count >= BUSY_RATE * self._pause else BATCH_SECONDS
        self.flush()

    def flush(self) -> None:
        """Hand what is there to the thread now."""
        if self._to_tell:
            drops = self._drops.take()
            self._writer.put(Batch(self._pieces, self._count, self._size, self._dropped, told=self._told, drops=drops))
            self._pieces = []
            self._size = self._count = 0

    @property
    def _to_tell(self) -> bool:
        return self._count > 0 or self._dropped != self._writer.dropped_known

    def look(self) -> None:
        """Ten times a second: nothing is late where nobody waits."""

    def close(self) -> None:
        """Write what is there and stop the thread. Waits for the disk."""
        self.flush()
        self._writer.close()


class SpoolWriter:
    """The thread's side: owns the folder, the segment and the counts."""

    def __init__(self, folder: Path, max_bytes: int, *, fsync: str = IN_INTERVALS, report: Report = unheard) -> None:
        self.name = folder.name
        self._folder = folder
        self._alarm = Alarm(report, folder)
        self._fsync = fsync
        self._max_bytes = max_bytes
        self._segment_bytes = min(SEGMENT_BYTES, max_bytes // 4)  # only whole segments are deleted: there must be some
        self._lock = -1
        self._queue: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._put_bytes = 0
        self._done_bytes = 0
        self.dropped_known = 0
        self._segment = 0
        self._file = -1
        self._written = 0
        self._accepted = 0
        self.size = 0  # bytes written since the boot
        self._dropped: dict[str, int] = {}
        self._drops = DropBook()
        self._synced = 0.0
        self._dirty = False
        self._checked = 0.0
        self._told = 0.0
        self._untold = False
        self._full = ""
        self._syncer = Syncer(report)
        try:
            self._open()
        except OSError as error:
            if error.errno not in _PASSING:
                raise
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    # -- called by the loop

    @property
    def backlog(self) -> int:
        """Bytes handed over and not yet written. Each side writes its own counter, so no lock is needed."""
        return self._put_bytes - self._done_bytes

    @property
    def unsynced(self) -> int:
        """Syncs that failed since the boot."""
        return self._syncer.failed

    def tally(self) -> Tally:
        """The counts so far, as they stand behind the newest batch."""
        accepted, dropped = self._accepted, dict(self._dropped)
        return Tally(accepted + sum(dropped.values()), accepted, dropped)

    def put(self, batch: Batch) -> None:
        """Take over a batch."""
        self._put_bytes += batch.size
        self.dropped_known = batch.dropped
        self._queue.put(batch)

    def close(self) -> None:
        """Write what is queued, sync, and end the thread."""
        self._queue.put(None)
        self._thread.join()
        self._syncer.close()
        if self._lock >= 0:
            os.close(self._lock)

    # -- the thread

    def _run(self) -> None:
        while True:
            try:
                batch = self._queue.get(timeout=SYNC_SECONDS if self._dirty else SEGMENT_IDLE_SECONDS)
            except queue.Empty:
                self._idle()
                continue
            if batch is None:
                if self._untold:
                    self._append(_NOTHING)
                if self._file >= 0:
                    self._leave_file()
                return
            self._write(batch)
            self._done_bytes += batch.size
            if self._is_due(batch):
                self._sync()
            if batch.told is not None:
                batch.told()

    def _is_due(self, batch: Batch) -> bool:
        """Whether to sync now. Batches that wait to be written, and that nobody waits for, are written first."""
        if self._fsync == EACH_BATCH and (batch.told is not None or self._queue.empty()):
            return True
        return monotonic() - self._synced > SYNC_SECONDS

    def _idle(self) -> None:
        if self._dirty:
            self._sync()
        elif self._written:
            self._roll()

    def _sync(self) -> None:
        """Waits for the disk only where each batch is synced: as long as it takes, nothing is written."""
        if self._dirty and self._fsync == EACH_BATCH:
            self._dirty = False
            self._syncer.attempt(partial(os.fdatasync, self._file))
        elif self._dirty and not self._syncer.busy:
            self._dirty = False
            self._syncer.sync(self._file)
        self._synced = monotonic()

    def _leave_file(self) -> None:
        if self._dirty or self._syncer.busy:
            self._dirty = False
            self._syncer.finish(self._file)
        else:
            os.close(self._file)

    def _sync_folder(self) -> None:
        if self._fsync == EACH_BATCH:
            self._syncer.attempt(partial(sync_folder, self._folder))
        elif self._fsync == IN_INTERVALS:
            self._syncer.sync_folder(self._folder)

    def _open(self) -> None:
        """Makes the folder, its lock and the first segment; what is there already, stays. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._lock < 0:
            self._lock = os.open(self._folder / LOCK_FILE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o640)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._roll()

    def _roll(self) -> None:
        """The next segment: an older one can be deleted as soon as the database has all of it."""
        path = self._folder / segment_name(self._segment + 1)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        try:
            file = os.open(path, flags, 0o640)
        except OSError:
            if self._file < 0:
                raise
            return  # the disk is full: the segment there is grows on, or what comes is dropped and counted
        if self._file >= 0:
            self._leave_file()
        self._file = file
        self._segment += 1
        self._written = 0
        self._sync_folder()

    def _write(self, batch: Batch) -> None:
        if batch.dropped:
            self._untold = self._untold or batch.dropped != self._dropped.get(BUFFER_FULL)
            self._dropped[BUFFER_FULL] = batch.dropped
            self._drops.add(batch.drops)
        full = self._shortage()
        if full:
            self._drop(full, batch)
            if monotonic() - self._told > SHORTAGE_SECONDS:
                self._append(_NOTHING)
        elif not self._append(batch):
            self._drop(WRITE_FAILED, batch)

    def _append(self, batch: Batch) -> bool:
        """The frames and the counts behind them, whole or not at all. While there is no room the counts alone are told."""
        if self._file < 0:
            return False
        accepted = self._accepted + batch.records
        counts = self._counts(accepted)
        pieces = [*batch.pieces, counts]
        if len(pieces) > MAX_PIECES or batch.size < WORTH_COPYING * len(pieces):
            pieces = [b"".join(pieces)]
        try:
            written = os.writev(self._file, pieces)
        except OSError:
            written = 0
        if written < batch.size + len(counts):
            self._take_back()
            return False
        self._accepted = accepted
        self._drops.take()
        if batch.records:
            self._alarm.kept()
        self._written += written
        self._dirty = self._fsync != NEVER
        self.size += written
        self._untold = False
        self._told = monotonic()
        if self._written > self._segment_bytes:
            self._sync()
            self._roll()
        return True

    def _counts(self, accepted: int) -> bytes:
        """What stands behind a batch: a tally, and before it whose records were dropped."""
        tally = frame(Tally(accepted + sum(self._dropped.values()), accepted, self._dropped))
        return frame(self._drops.told()) + tally if self._drops else tally

    def _take_back(self) -> None:
        """What was written of a batch that is not whole; a segment that keeps it ends there."""
        try:
            os.ftruncate(self._file, self._written)
        except OSError:
            self._roll()

    def _drop(self, reason: str, batch: Batch) -> None:
        if batch.records:
            self._dropped[reason] = self._dropped.get(reason, 0) + batch.records
            self._drops.note_frames(batch.pieces, reason)
            self._alarm.dropped(batch.records, _WHY[reason], now=monotonic())
            self._untold = True

    def _shortage(self) -> str:
        """Why nothing may be written now, or "": looked up once a second."""
        now = monotonic()
        if now - self._checked > SHORTAGE_SECONDS:
            self._checked = now
            try:
                if self._file < 0:
                    self._open()
                self._full = self._look_up_shortage()
            except OSError:  # the folder is not there any more: what is written into its files is lost
                self._full = WRITE_FAILED
        return self._full

    def _look_up_shortage(self) -> str:
        disk = os.statvfs(self._folder)
        if disk.f_bavail < disk.f_blocks * DISK_FREE_SHARE:
            return DISK_FULL
        kept = 0
        for entry in os.scandir(self._folder):
            with suppress(FileNotFoundError):  # the recorder deletes what the database has
                kept += entry.stat().st_size if entry.name.endswith(SEGMENT_SUFFIX) else 0
        return SPOOL_FULL if kept > self._max_bytes else ""
