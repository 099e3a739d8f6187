"""How much a backend carries at once, and the legs that wait for room, in order."""

from collections import deque
from typing import NamedTuple

from modelctl.router.upstream import Leg


class Limit(NamedTuple):
    """How many legs a Target carries at once, and how many (and how many bytes of them) may wait."""

    inflight: int
    pending: int
    pending_bytes: int


class Waiting(NamedTuple):
    """A leg without room yet, the bytes it holds, and since when it waits (the clock's seconds).

    `avoid` is the number of the endpoint that it had rather not have, -1 for none. A `fresh` one wants a connection that has
    carried nothing yet.
    """

    leg: Leg
    size: int
    since: float
    avoid: int
    fresh: bool = False


class Room:
    """`inflight` legs are carried; beyond the limit they wait, and beyond what may wait they are turned away."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.inflight = 0
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0

    def enter(self) -> bool:
        """Whether there is room; one leg more is carried then."""
        if self.inflight >= self.limit.inflight:
            return False
        self.inflight += 1
        return True

    def wait(self, waiting: Waiting, *, first: bool = False) -> bool:
        """Whether the leg may wait; `first`: before all who do."""
        if len(self._waiting) >= self.limit.pending or self._bytes + waiting.size > self.limit.pending_bytes:
            return False
        if first and self._waiting:
            self._waiting.appendleft(waiting._replace(since=min(waiting.since, self._waiting[0].since)))
        else:
            self._waiting.append(waiting)
        self._bytes += waiting.size
        return True

    def leave(self) -> Waiting | None:
        """A leg is over: who has its room now, or None for nobody."""
        if not self._waiting:
            self.inflight -= 1
            return None
        return self._first()

    def forget(self, leg: Leg) -> bool:
        """Whether `leg` waited; it does not any more."""
        for waiting in self._waiting:
            if waiting.leg is leg:
                self._waiting.remove(waiting)
                self._bytes -= waiting.size
                return True
        return False

    def late(self, before: float) -> list[Waiting]:
        """Those who have waited since before `before`; they do not wait any more."""
        found = []
        while self._waiting and self._waiting[0].since < before:
            found.append(self._first())
        return found

    def _first(self) -> Waiting:
        waiting = self._waiting.popleft()
        self._bytes -= waiting.size
        return waiting

    @property
    def busy(self) -> bool:
        """Whether anything is carried or waits."""
        return self.inflight > 0 or bool(self._waiting)
