"""What a worker measures of itself once a second, and what it does when it is short."""

import ctypes
import gc
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from modelctl.router.clock import TICK
from modelctl.router.overload import NONE, REFUSE, SHED, Load

PERIOD = 1.0
SPARE = 64 * 1024 * 1024  # bytes of freed memory that are kept for the next peak
QUIET = 8  # requests in flight
_STATM = Path("/proc/self/statm")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_WORDS = {
    NONE: "enough memory and time again",
    SHED: "short of memory or time: no copies are sent",
    REFUSE: "short of memory or full: requests are refused",
}


class Idle(Protocol):
    """A client's connection, as far as ending it goes."""

    def hurry(self) -> None:
        """When nothing is asked on it, close it soon."""


def resident() -> int:
    """Bytes of memory in use; 0 where the system does not say."""
    try:
        return int(_STATM.read_bytes().split()[1]) * _PAGE
    except OSError:
        return 0


def _trimmer() -> Callable[[int], int] | None:
    """What gives freed memory back to the system (glibc). Without it a peak would look like a shortage for ever."""
    trim: Callable[[int], int] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim


class Gauge:
    """Samples memory and lateness into a Load."""

    def __init__(self, load: Load, now: float, *, report: Callable[[str, str], None]) -> None:
        self._load = load
        self._report = report
        self._last = now
        self._next = now + PERIOD
        self._lag = 0.0
        self._trim = _trimmer()
        self._floor = resident()

    def tick(self, now: float, connections: Iterable[Idle]) -> None:
        """Once per TICK; `connections` are hurried when memory is short."""
        self._lag = max(self._lag, now - self._last - TICK)
        self._last = now
        if now < self._next:
            return
        self._next = now + PERIOD
        size = resident()
        self._floor = min(self._floor, size)
        if self._load.observe(size, lag=self._lag):
            self._report("shortage", _WORDS[self._load.level])
        self._lag = 0.0
        if self._load.memory != NONE:
            self._relieve(connections)
        elif size > self._floor + SPARE and self._load.inflight <= QUIET:
            self._give_back()

    def _give_back(self) -> None:
        """A peak is over: what it took goes back to the system. Some milliseconds for each 100 MiB, so not while much is asked."""
        if self._trim is not None:
            self._trim(0)
        self._floor = resident()

    def _relieve(self, connections: Iterable[Idle]) -> None:
        if self._load.memory == REFUSE:
            for connection in connections:
                connection.hurry()
        gc.collect()
        if self._trim is not None:
            self._trim(0)
