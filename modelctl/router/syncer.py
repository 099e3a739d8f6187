"""Syncs to the disk in a thread of its own: a sync may take as long as the disk likes, and writing goes on meanwhile.

One that fails is counted and told, and not tried again: the system may take for written what is not, so a second one that succeeds
would prove nothing.
"""

import os
import queue
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

from modelctl.router.roster import Report


class Syncer:
    """Does one thing after another, in the order they were asked for. `report(event, text)` hears when the disk begins to fail."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._failing = False
        self.failed = 0
        self._queue: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._asked = 0
        self._done = 0
        self._thread = threading.Thread(target=self._run, name="spool-sync", daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether something that was asked is not done. Each side writes its own counter, so no lock is needed."""
        return self._asked != self._done

    def sync(self, file: int) -> None:
        """What is written in the file so far is to survive a loss of power."""
        self._ask(partial(os.fdatasync, file))

    def finish(self, file: int) -> None:
        """The same, and then the file is closed."""
        self.sync(file)
        self._ask(partial(os.close, file))

    def sync_folder(self, folder: Path) -> None:
        """The same of its entries."""
        self._ask(partial(sync_folder, folder))

    def attempt(self, task: Callable[[], None]) -> None:
        """Does it now, in the caller's thread. That it fails is counted and told, as of what is done in the other one."""
        try:
            task()
        except OSError as error:
            self.failed += 1
            if not self._failing:
                self._failing = True
                self._report("sync-failed", f"what was written last may not survive a loss of power: {error}")
        else:
            self._failing = False

    def close(self) -> None:
        """Do what was asked, and end the thread. Waits for the disk."""
        self._queue.put(None)
        self._thread.join()

    def _ask(self, task: Callable[[], None]) -> None:
        self._asked += 1
        self._queue.put(task)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            self.attempt(task)
            self._done += 1


def sync_folder(folder: Path) -> None:
    """A new file survives a loss of power when its folder is synced, and the folder when its own is. Raises OSError."""
    for path in (folder, folder.parent):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
