"""What makes the recorder a process: its log, its stop signal, its lock, and the loop that never gives up."""

import fcntl
import gc
import os
import random
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modelctl.errors import ModelctlError
from modelctl.log_line import LogEntry, LogSource, for_people, rendered
from modelctl.recorder.recorder import Log, Recorder

LOCK = "recorder.lock"
IDLE = 0.075  # seconds between two looks at spools that had nothing
LAST = 2.0  # seconds that a stopped recorder goes on with what the spools hold; the rest waits for the next one
_SHORTEST, _LONGEST = 0.1, 10.0
_NEW_OBJECTS = 500_000  # more than a batch has at any time


def log(event: str, **facts: object) -> None:
    """One line on stderr, if there is room for it: it may be a file on a full disk. Its message is the reason, if there is one."""
    labels = {name: str(fact) for name, fact in facts.items() if name != "reason"}
    entry = LogEntry(event=event, message=str(facts.get("reason", "")), at=time.time_ns() // 1_000_000, labels=labels)
    people = for_people(os.environ.get("MODELCTL_LOG_FORMAT", ""), terminal=os.isatty(2))
    with suppress(OSError):
        os.write(2, rendered(entry, LogSource("recorder", os.getpid()), people=people))


def collect_seldom() -> None:
    """Has the interpreter look for cycles of garbage once in many batches: a batch has none, and looking through the objects it has
    costs a quarter of recording it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS, 10, 10)


class Stop:
    """Whether SIGTERM or SIGINT came. It interrupts a `wait`, and nothing else: a transaction that has begun is finished."""

    def __init__(self, waker: socket.socket) -> None:
        self._waker = waker
        self.requested = False

    def request(self) -> None:
        """Ends this and every later `wait`."""
        self.requested = True

    def wait(self, seconds: float) -> None:
        """Sleeps, but not past a signal."""
        if not self.requested and select.select([self._waker], [], [], seconds)[0]:
            self._waker.recv(4096)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """A Stop that the process's signals request. A signal writes to a socket, so none gets lost between a look and a wait."""
    waker, signalled = socket.socketpair()
    signalled.setblocking(False)
    stop = Stop(waker)
    before = {number: signal.signal(number, lambda *_: stop.request()) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.set_wakeup_fd(signalled.fileno())
    try:
        yield stop
    finally:
        signal.set_wakeup_fd(-1)
        for number, handler in before.items():
            signal.signal(number, handler)
        waker.close()
        signalled.close()


def backoff(failures: int, chance: float) -> float:
    """Seconds until the next try after `failures` in a row: full jitter, `chance` from 0 to 1 of a bound that doubles to 10 s."""
    return max(_SHORTEST, chance * min(_LONGEST, _SHORTEST * 2.0 ** min(failures, 10)))


def insist(action: Callable[[], None], stop: Stop, *, log: Log) -> bool:
    """Does `action` until it succeeds, however long that takes; logs one line when it begins to fail. False if stopped before."""
    failures = 0
    while not stop.requested:
        try:
            action()
        except (ModelctlError, OSError) as error:
            failures += 1
            if failures == 1:
                log("waiting", reason=str(error))
            stop.wait(backoff(failures, random.random()))
        else:
            if failures:
                log("resumed", after_failures=failures)
            return True
    return False


@contextmanager
def only_reader(root: Path, stop: Stop, *, log: Log) -> Iterator[bool]:
    """Holds the lock of the spools below `root`, for which it waits; False if stopped before it had it."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / LOCK).open("ab") as file:

        def take() -> None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise OSError(f"another recorder, process {_holder(root)}, reads {root}: waiting until it ends") from error

        taken = insist(take, stop, log=log)
        if taken:
            _sign(file.fileno())
        yield taken


def _sign(lock: int) -> None:
    """Says who holds the lock, if the disk has room for it: recording is what makes room."""
    os.ftruncate(lock, 0)
    with suppress(OSError):
        os.write(lock, str(os.getpid()).encode())


def _holder(root: Path) -> str:
    return (root / LOCK).read_text() or "unknown"


def run(recorder: Recorder, stop: Stop, *, log: Log) -> None:
    """Records until stopped, and then what routers that stopped before have left."""
    moved = False

    def work() -> None:
        nonlocal moved
        moved = recorder.pass_once()

    while insist(work, stop, log=log):
        if not moved:
            stop.wait(IDLE)
    _finish(recorder, log=log)


def _finish(recorder: Recorder, *, log: Log) -> None:
    deadline = time.monotonic() + LAST
    try:
        while recorder.pass_once() and time.monotonic() < deadline:
            pass
    except (ModelctlError, OSError) as error:
        log("left", reason=str(error))
