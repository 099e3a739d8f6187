"""The spool of sync mode: who answers a client waits here until the record is written, or dropped and counted.

One batch is with the thread at a time. Records that come meanwhile are the next one, so the busier the router is, the more answers
share a `write` (and, where the policy says so, a sync). A client waits for PATIENCE at most: while the disk does not come back from
a write, answers go out before their records, as in async mode, and the log says so.
"""

from collections.abc import Callable
from time import monotonic
from typing import Final, Protocol

from modelctl.router.roster import Report
from modelctl.router.spool import Spool, SpoolWriter

PATIENCE: Final = 1.0  # seconds that an answer waits for its record


class Waiter(Protocol):
    """A client's connection that holds the end of an answer."""

    def on_written(self) -> None:
        """The records appended before it began to wait are written, or never will be."""


class Loop(Protocol):
    """What is needed of the event loop."""

    def call_soon(self, callback: Callable[[], None]) -> object:
        """Call it when what is ready now has been handled."""

    def call_soon_threadsafe(self, callback: Callable[[], None]) -> object:
        """The same, from another thread."""


class SyncSpool(Spool):
    """The loop's side. `report(event, text)` hears when answers cannot wait any longer, and when they wait again."""

    def __init__(self, writer: SpoolWriter, loop: Loop, *, max_bytes: int, report: Report) -> None:
        super().__init__(writer, lambda _seconds, callback: loop.call_soon(callback), max_bytes=max_bytes)
        self._report = report
        self._told = lambda: loop.call_soon_threadsafe(self._on_written)
        self._under_way = False
        self._since = 0.0
        self._late = False
        self._overdue = False
        self._leaving: list[Waiter] = []  # whose records are with the thread
        self._waiting: list[Waiter] = []
        self.unwaited = 0

    @property
    def unwritten(self) -> bool:
        """Whether there is a record to wait for."""
        return (self._under_way or self._count > 0) and not self._overdue

    def hold(self, waiter: Waiter) -> None:
        """Tell `waiter` when everything appended so far is written. Only when something is unwritten."""
        self._waiting.append(waiter)

    def append(self, payload: bytes) -> None:
        """Take over an encoded record, or count it as dropped."""
        if self._overdue:
            self.unwaited += 1
        super().append(payload)

    def flush(self) -> None:
        """Hand what is there to the thread, unless it still has the batch before."""
        if not self._under_way and self._to_tell:
            self._under_way = True
            self._since = monotonic()
            self._late = False
            self._leaving, self._waiting = self._waiting, []
            super().flush()

    def _on_written(self) -> None:
        self._under_way = False
        done, self._leaving = self._leaving, []
        if self._overdue:
            self._overdue = False
            self._report("answers-wait", f"the spool is written again; {self.unwaited} records were not waited for")
        self.flush()
        if not self._under_way:  # their records went with the batch before they began to wait
            done += self._waiting
            self._waiting = []
        self._release(done)

    def look(self) -> None:
        """Ten times a second: nobody waits for a disk that hangs. A process that did not run for a while hears from it first."""
        late, self._late = self._late, self._under_way and not self._overdue and monotonic() - self._since > PATIENCE
        if late and self._late:
            self._overdue = True
            done, self._leaving, self._waiting = self._leaving + self._waiting, [], []
            self.unwaited += len(done)
            self._report(
                "answers-do-not-wait", f"the spool was not written for {PATIENCE:g} s: answers go out before their records"
            )
            self._release(done)

    def _release(self, waiters: list[Waiter]) -> None:
        for waiter in waiters:
            try:
                waiter.on_written()
            except Exception as error:  # noqa: BLE001  (one connection must not keep the others waiting)
                self._report("connection-failed", f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Write what is there and stop the thread. Waits for the disk."""
        self._under_way = False
        super().close()
