"""Takes batches of records from the spools to the database until it is told to stop.

A frame ends in the database, among the duplicates, or in quarantine, and is counted there in the transaction that moves the spool's
position past it. Anything else that goes wrong stops nothing: the same position is tried again later.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from modelctl.errors import Conflict, Corrupt, InvalidInput, ModelctlError
from modelctl.evidence import Compared, Drops, Record, Served, Tally, decode
from modelctl.recorder.commit import Batch, Progress, Writer, load_progress
from modelctl.recorder.known import Known
from modelctl.recorder.labels import Joiner
from modelctl.recorder.ledger import Admission
from modelctl.recorder.quarantine import set_aside
from modelctl.recorder.readings import Reading, ServedReading
from modelctl.recorder.spool_reader import Chunk, Located, Position, SpoolReader, spools

# At most: a batch holds what is there, so batches grow with the lag. Larger ones would keep others from SQLite's only write lock.
BATCH_RECORDS = 5000
_EVIDENCE = (Served, Compared)
# Between two of its transactions the recorder leaves SQLite's only write lock to others for this long, in seconds.
GAP = 0.02

Log = Callable[..., None]
Tap = Callable[[Sequence[Served | Compared]], None]


class Item(msgspec.Struct, frozen=True, gc=False):
    """One frame and what it came to: a reading, a tally, drops, or the reason why it is none of them."""

    frame: Located
    reading: Reading | None = None
    tally: Tally | None = None
    drops: Drops | None = None
    reason: str = ""


class Recorder:
    """Records every spool below `root`. `log(event, **facts)` hears about what needs a person, `tap` of what is in the database."""

    def __init__(self, engine: Engine, root: Path, *, log: Log, tap: Tap | None = None) -> None:
        self._engine = engine
        self._root = root
        self._log = log
        self._tap = tap
        self._known = Known(engine)
        admission = Admission()
        self._writer = Writer(engine, admission, log=log)
        self._joiner = Joiner(engine, admission)
        self._readers: dict[str, SpoolReader] = {}
        self._progress: dict[str, Progress] = {}
        self._written_at = 0.0

    def pass_once(self) -> bool:
        """Records at most one batch of each spool, and joins some feedback; whether there was any. Raises the last error, after it
        tried everything."""
        trouble: ModelctlError | OSError | None = None
        moved = False
        for folder in spools(self._root):
            try:
                moved = self._record(folder) or moved
            except (ModelctlError, OSError) as error:
                self._progress.pop(folder.name, None)
                trouble = error
        try:
            moved = self._join() or moved
        except (ModelctlError, OSError) as error:
            trouble = error
        if trouble is not None:
            raise trouble
        return moved

    def _join(self) -> bool:
        at = time.time_ns() // 1000
        if not self._joiner.waits(at=at):
            return False
        self._leave_gap()
        self._joiner.join_some(at=at)
        self._written_at = time.monotonic()
        return True

    def _leave_gap(self) -> None:
        time.sleep(max(0.0, self._written_at + GAP - time.monotonic()))

    def _record(self, folder: Path) -> bool:
        reader = self._readers.setdefault(folder.name, SpoolReader(folder))
        progress = self._progress.get(folder.name) or load_progress(self._engine, folder.name)
        self._progress[folder.name] = progress
        chunk = reader.read(progress.position, BATCH_RECORDS)
        if chunk:
            progress = self._write_chunk(progress, chunk)
        if reader.clear(progress.position):
            del self._readers[folder.name], self._progress[folder.name]
        return bool(chunk)

    def _write_chunk(self, progress: Progress, chunk: Chunk) -> Progress:
        records = [_decoded(frame) for frame in chunk.frames]
        self._known.learn([record for record in records if isinstance(record, _EVIDENCE)])
        items = [self._item(frame, record) for frame, record in zip(chunk.frames, records, strict=True)]
        return self._write(progress, items, end=chunk.end, corrupt_bytes=chunk.corrupt_bytes)

    def _item(self, frame: Located, record: Record | Corrupt) -> Item:
        if isinstance(record, Corrupt):
            return Item(frame, reason=str(record))
        if isinstance(record, Tally):
            return Item(frame, tally=record)
        if isinstance(record, Drops):
            return Item(frame, drops=record)
        try:
            return Item(frame, self._known.read(record))
        except Exception as error:  # noqa: BLE001  (a kind promises not to raise; one broken answer must not stop all others)
            return Item(frame, reason=f"the answer cannot be read: {type(error).__name__}: {error}")

    def _write(self, progress: Progress, items: Sequence[Item], *, end: Position, corrupt_bytes: int = 0) -> Progress:
        """Commits `items`; when the database refuses one, halves them until it stands alone, and sets that one aside."""
        try:
            return self._commit_fresh(progress, items, end=end, corrupt_bytes=corrupt_bytes)
        except (InvalidInput, Conflict) as error:
            if len(items) > 1:
                middle = len(items) // 2
                progress = self._write(progress, items[:middle], end=items[middle - 1].frame.end)
                return self._write(progress, items[middle:], end=end)
            if not items or items[0].reason:
                raise
            return self._commit(progress, [Item(items[0].frame, reason=str(error))], end=end)

    def _commit_fresh(self, progress: Progress, items: Sequence[Item], *, end: Position, corrupt_bytes: int) -> Progress:
        """Once more when a key was taken meanwhile: what another recorder has written since the look is known then."""
        try:
            return self._commit(progress, items, end=end, corrupt_bytes=corrupt_bytes)
        except Conflict:
            return self._commit(progress, items, end=end, corrupt_bytes=corrupt_bytes)

    def _commit(self, progress: Progress, items: Sequence[Item], *, end: Position, corrupt_bytes: int = 0) -> Progress:
        refused = [item for item in items if item.reason]
        paths = [set_aside(self._root, progress.name, frame=item.frame, reason=item.reason) for item in refused]
        batch = Batch(
            [item.reading for item in items if item.reading is not None],
            end,
            tally=next((item.tally for item in reversed(items) if item.tally is not None), None),
            drops=tuple(item.drops for item in items if item.drops is not None),
            quarantined=len(refused),
            corrupt_bytes=corrupt_bytes,
        )
        self._leave_gap()
        after = self._writer.commit(progress, batch, at=time.time_ns() // 1000)
        self._written_at = time.monotonic()
        self._progress[progress.name] = after
        if self._tap is not None:
            self._tap([one.served if isinstance(one, ServedReading) else one.compared for one in batch.readings])
        for item, path in zip(refused, paths, strict=True):
            self._log("quarantine", file=str(path), reason=item.reason)
        return after


def _decoded(frame: Located) -> Record | Corrupt:
    try:
        return decode(frame.payload)
    except Corrupt as error:
        return error
