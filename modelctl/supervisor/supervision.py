"""The loop that keeps the children: what died comes back, what hangs up is replaced, and all end in order."""

import contextlib
import os
import selectors
import signal
import socket
from collections.abc import Callable, Sequence
from time import monotonic, sleep

from modelctl.supervisor.child import Child, Plan, ending, report
from modelctl.supervisor.rolling import LOOK_SECONDS, Rolling

STOP_SECONDS = 10.0


class Supervisor:
    """Keeps the children of `plans` running; ends them in the order of `groups`, each a prefix of names.

    The sockets of the plans are its own: it closes them when it ends their children.
    """

    def __init__(self, plans: Sequence[Plan], groups: Sequence[str], *, drain_seconds: float) -> None:
        self._children = [Child(plan) for plan in plans]
        self._groups = groups
        self._drain_seconds = drain_seconds
        self._leaving: dict[Child, float] = {}  # and when each is killed
        self._rolling: Rolling | None = None
        self._hung_up = False
        self._stopping = False
        self._exit_code = 0

    def run(self, on_started: Callable[[], None]) -> int:
        """Until SIGTERM or SIGINT, or until a child cannot be started at all. The exit code."""
        wake, waker = socket.socketpair()
        wake.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        at_terminal = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _has_terminal()
        signal.signal(signal.SIGHUP, self._on_hang_up)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for child in self._children:
            child.start()
        on_started()
        with selectors.DefaultSelector() as selector:
            selector.register(wake, selectors.EVENT_READ)
            while not self._stopping:
                selector.select(self._seconds_to_next())
                with contextlib.suppress(BlockingIOError):
                    wake.recv(4096)
                self._mend()
                if self._hung_up and at_terminal and not _has_terminal():
                    self._stopping = True
                self._roll()
        self._stop_all()
        return self._exit_code

    def _on_stop(self, number: int, frame: object) -> None:
        self._stopping = True

    def _on_hang_up(self, number: int, frame: object) -> None:
        self._hung_up = True

    def _seconds_to_next(self) -> float:
        if self._rolling is not None:
            return LOOK_SECONDS
        moments = [child.due for child in self._children if child.process is None] + list(self._leaving.values())
        return max(0.01, min(moments) - monotonic()) if moments else 3600.0

    def _mend(self) -> None:
        for child in self._children:
            code = child.look()
            if code is not None and not self._stopping:
                if code > 0 and child.hopeless:
                    report("gave-up", f"{child.plan.name} ended with exit code {code} right after its start; see its message above")
                    self._exit_code, self._stopping = code, True
                    return
                report("restarting", f"{child.plan.name} ended ({ending(code)})")
            if child.process is None and child.due <= monotonic() and not self._stopping:
                child.start()
        self._bury()

    def _bury(self) -> None:
        """Workers that were replaced: forget who has ended, end who had its time."""
        for child, deadline in list(self._leaving.items()):
            child.look()
            if child.process is None:
                del self._leaving[child]
            elif monotonic() > deadline:
                child.signal(signal.SIGKILL)

    def _roll(self) -> None:
        """Replace the router workers, once for each time that was asked for; a request during one means another after it."""
        if self._stopping:
            return
        if self._rolling is None and self._hung_up:
            self._hung_up = False
            report("restart-asked", "the router workers are replaced one at a time")
            self._rolling = Rolling(self._children, "router", retire=self._retire)
        if self._rolling is not None:
            self._rolling.step()
            if self._rolling.done:
                self._rolling = None

    def _retire(self, child: Child) -> None:
        child.signal(signal.SIGTERM)
        self._leaving[child] = monotonic() + self._drain_seconds + STOP_SECONDS

    def _everyone(self) -> list[Child]:
        fresh = self._rolling.fresh if self._rolling is not None else None
        return [*self._children, *self._leaving, *([fresh] if fresh is not None else [])]

    def _stop_all(self) -> None:
        everyone = self._everyone()
        for group in self._groups:
            members = [child for child in everyone if child.plan.name.startswith(group)]
            for child in members:
                child.signal(signal.SIGTERM)
            # While one process holds a listening socket, the system takes connections that nobody is going to serve.
            for descriptor in {descriptor for child in members for descriptor in child.plan.sockets}:
                os.close(descriptor)
            deadline = monotonic() + STOP_SECONDS + (self._drain_seconds if group == "router" else 0)
            while monotonic() < deadline and any(child.process is not None for child in members):
                for child in members:
                    child.look()
                sleep(0.02)
            for child in members:
                child.signal(signal.SIGKILL)


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal. One that had it and lost it was hung up on."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
