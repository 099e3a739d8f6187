"""Shortage of a worker: how short it is, and what it does about it. Copies go first, then requests."""

from typing import Final

NONE: Final = 0
SHED: Final = 1  # no copies
REFUSE: Final = 2  # no requests either

HIGH = 0.85  # of a limit
FULL = 0.98  # of the memory; requests in flight have a whole number as limit
LATE = 0.5  # seconds that the loop may be late: less happens on any busy machine


def level(memory: float, inflight: float, *, lag: float) -> int:
    """NONE, SHED or REFUSE. `memory` and `inflight` are shares of their limits, 0 without one; `lag` is seconds."""
    if memory >= FULL or inflight >= 1:
        return REFUSE
    return SHED if memory >= HIGH or inflight >= HIGH or lag >= LATE else NONE


class Load:
    """What a worker carries and may carry. A request is refused when `inflight` has reached `room`; copies are not sent while
    it is `shedding`.

    When memory is short there is room for one request at a time: a router whose memory does not come back is slow, not dead.
    """

    __slots__ = ("_max_inflight", "_max_memory", "inflight", "level", "memory", "room", "shedding")

    def __init__(self, max_memory: int, max_inflight: int) -> None:
        """Bytes (0 is off), and requests."""
        self._max_memory = max_memory
        self._max_inflight = max_inflight
        self.inflight = 0
        self.room = max_inflight
        self.shedding = False
        self.level = NONE
        self.memory = NONE

    def observe(self, resident: int, *, lag: float) -> bool:
        """What was sampled: bytes in memory, and by how many seconds the loop was late. Whether the level is another one now.

        `memory` is the level that memory alone asks for.
        """
        share = resident / self._max_memory if self._max_memory else 0.0
        self.memory = level(share, 0.0, lag=0.0)
        before = self.level
        self.level = level(share, self.inflight / self._max_inflight, lag=lag)
        self.shedding = self.level != NONE
        self.room = 1 if self.memory == REFUSE else self._max_inflight
        return self.level != before
