"""What happened in the last ten seconds, counted exactly in one-second buckets.

No average that forgets by arrivals: there a burst of good answers hides an outage (linkerd's success rate, docs/behavior.md).
"""

SECONDS = 10


class Window:
    """Two counts over the last SECONDS seconds: all, and those that are marked. `now` is in seconds and never goes back."""

    __slots__ = ("_all", "_marked", "_second", "count", "marked")

    def __init__(self) -> None:
        self.count = 0
        self.marked = 0
        self._all = [0] * SECONDS
        self._marked = [0] * SECONDS
        self._second = 0

    def add(self, now: float, *, count: int, marked: int) -> None:
        """So many more in the second of `now`."""
        self.advance(now)
        place = self._second % SECONDS
        self._all[place] += count
        self._marked[place] += marked
        self.count += count
        self.marked += marked

    def advance(self, now: float) -> None:
        """Forget what is older than SECONDS."""
        second = int(now)
        steps = second - self._second
        if steps <= 0:
            return
        for step in range(min(steps, SECONDS)):
            place = (second - step) % SECONDS
            self.count -= self._all[place]
            self.marked -= self._marked[place]
            self._all[place] = self._marked[place] = 0
        self._second = second
