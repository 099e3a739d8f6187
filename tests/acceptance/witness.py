"""Everything that any worker ever wrote, whoever deletes it afterwards: the measure of what the database must have."""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from modelctl.evidence import SEGMENT_SUFFIX, Compared, Served, decode, frames


class Written(NamedTuple):
    """The records of all spools, those that are there twice twice: ids of predictions, and of pairs with their candidates."""

    predictions: list[str]
    pairs: list[tuple[str, str]]
    request_ids: set[str]
    torn_bytes: int


class Witness:
    """Keeps a hard link of every segment below `spools` in `kept`, on the same disk, for the length of the block."""

    def __init__(self, spools: Path, kept: Path) -> None:
        self._spools = spools
        self._kept = kept
        kept.mkdir()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Witness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        # A segment lives for seconds: it goes when a later one exists or its worker has been dead for a while.
        while not self._over.wait(0.2):
            self.look()

    def look(self) -> None:
        """Keep what is there now."""
        for segment in self._spools.glob(f"*/*{SEGMENT_SUFFIX}"):
            with suppress(FileExistsError, FileNotFoundError):
                os.link(segment, self._kept / f"{segment.parent.name}-{segment.name}")

    def written(self) -> Written:
        """What the segments hold. Raises Corrupt when anything but a torn end is wrong with one."""
        found = Written([], [], set(), 0)
        torn = 0
        for segment in sorted(self._kept.iterdir()):
            data = segment.read_bytes()
            end = 0
            for payload, end in frames(data):  # noqa: B007  (the last one is wanted)
                _note(found, payload)
            torn += len(data) - end
        return found._replace(torn_bytes=torn)


def _note(found: Written, payload: bytes) -> None:
    record = decode(payload)
    if isinstance(record, Served):
        found.predictions.append(record.id.hex())
        found.request_ids.add(record.request_id.decode())
    elif isinstance(record, Compared):
        found.pairs.append((record.served.id.hex(), record.shadow.backend))
