"""Replacing children one at a time: the new one serves before the old one is told to go, so nothing is ever refused."""

import contextlib
import os
import signal
from collections.abc import Callable
from time import monotonic

from modelctl.supervisor.child import Child, ending, report

READY_SECONDS = 30.0  # for a new child to serve
LOOK_SECONDS = 0.05


class Rolling:
    """Goes on with each `step` until `done`. A new child that does not come to serve ends it, and the old one stays.

    A child is started with `--ready-fd`, the write end of a pipe: one byte there says that it serves.
    """

    def __init__(self, children: list[Child], part: str, *, retire: Callable[[Child], None]) -> None:
        self._children = children
        self._old = [child for child in children if child.plan.name == part]
        self._retire = retire
        self._pipe = -1
        self._deadline = 0.0
        self.fresh: Child | None = None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.fresh is None and not self._old

    def step(self) -> None:
        """Start the next one, or see how the last one is doing."""
        fresh = self.fresh
        if fresh is None:
            if self._old:
                self._start(self._old[0])
            return
        code = fresh.look()
        if code is not None:
            self._give_up(fresh, f"it ended ({ending(code)})")
        elif self._serves():
            self._replace(fresh)
        elif monotonic() > self._deadline:
            fresh.signal(signal.SIGKILL)
            self._give_up(fresh, f"it did not serve within {READY_SECONDS:.0f} s")

    def _start(self, old: Child) -> None:
        self._pipe, written = os.pipe()
        os.set_blocking(self._pipe, False)
        self.fresh = old.successor()
        self.fresh.start("--ready-fd", str(written), pipes=(written,))
        os.close(written)
        self._deadline = monotonic() + READY_SECONDS

    def _serves(self) -> bool:
        with contextlib.suppress(BlockingIOError):
            return bool(os.read(self._pipe, 1))
        return False

    def _replace(self, fresh: Child) -> None:
        old = self._old.pop(0)
        self._children[self._children.index(old)] = fresh
        self._end()
        self._retire(old)
        if not self._old:
            report("restarted", f"every {old.plan.name} worker has been replaced")

    def _give_up(self, fresh: Child, why: str) -> None:
        report("restart-failed", f"the new {fresh.plan.name} worker does not take over: {why}; the old ones serve on")
        self._old = []
        self._end()

    def _end(self) -> None:
        os.close(self._pipe)
        self.fresh = None
