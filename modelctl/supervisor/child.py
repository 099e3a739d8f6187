"""One process that the supervisor keeps running."""

import contextlib
import ctypes
import os
import signal
import subprocess
from time import monotonic, time_ns

import msgspec

from modelctl.log_line import LogEntry, LogSource, for_people, rendered

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
STEADY_SECONDS = 10.0  # a child that ran this long starts again without a pause
FATAL_SECONDS = 10.0  # a child that ends by itself this soon after the first start will not do better the next time
_PR_SET_PDEATHSIG = 1


class Plan(msgspec.Struct, frozen=True):
    """One child: its name, its command line, and the sockets it inherits. `worker` is its name at the control plane, if any."""

    name: str
    argv: tuple[str, ...]
    sockets: tuple[int, ...] = ()
    worker: str = ""

    def command(self, generation: int) -> tuple[str, ...]:
        """The command line. While one worker takes over from another both are at the control plane, under two names."""
        if not self.worker:
            return self.argv
        return (*self.argv, "--name", f"{self.worker}.{generation}" if generation else self.worker)


def pause_before_restart(failures: int) -> float:
    """Seconds to wait before the next start after `failures` short runs in a row: 0, then doubling up to LONGEST_PAUSE."""
    return 0.0 if failures < 1 else min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (failures - 1))


def report(event: str, message: str) -> None:
    """One line on standard error. Nobody may be there to read it: the terminal may have gone."""
    entry = LogEntry(event=event, message=message, at=time_ns() // 1_000_000)
    people = for_people(os.environ.get("MODELCTL_LOG_FORMAT", ""), terminal=os.isatty(2))
    with contextlib.suppress(OSError):
        os.write(2, rendered(entry, LogSource("supervisor", os.getpid()), people=people))


def ending(code: int) -> str:
    """An exit code in words."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _die_with_parent() -> None:
    """In the child: end when the supervisor does, however it ends. An orphan would hold the port and serve an old table."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A plan and the process that carries it out. `generation` counts the children that had this place before."""

    def __init__(self, plan: Plan, *, generation: int = 0, first: float | None = None) -> None:
        self.plan = plan
        self.generation = generation
        self.process: subprocess.Popen[bytes] | None = None
        self.due = 0.0
        self._failures = 0
        self._first = monotonic() if first is None else first
        self._started = 0.0

    def start(self, *options: str, pipes: tuple[int, ...] = ()) -> None:
        """Start the process, with more options and descriptors than its plan has."""
        self._started = monotonic()
        self.process = subprocess.Popen(  # noqa: S603  (our own entry points)
            (*self.plan.command(self.generation), *options),
            pass_fds=(*self.plan.sockets, *pipes),
            preexec_fn=_die_with_parent,  # noqa: PLW1509  (no threads here)
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )

    def successor(self) -> "Child":
        """Who takes its place."""
        return Child(self.plan, generation=self.generation + 1, first=self._first)

    def look(self) -> int | None:
        """The exit code of a process that has ended since the last look, else None. Says when the next start is due."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        self.process = None
        now = monotonic()
        self._failures = 0 if now - self._started > STEADY_SECONDS else self._failures + 1
        self.due = now + pause_before_restart(self._failures - 1)
        return code

    @property
    def hopeless(self) -> bool:
        """Whether an exit by itself so soon means that something must be mended first."""
        return monotonic() - self._first < FATAL_SECONDS

    def signal(self, number: int) -> None:
        """Send a signal, if there is a process."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)
