"""Time for deadlines: read once per tick and shared, so that setting a deadline costs no system call."""

TICK = 0.1


class Clock:
    """`now` is the event loop's time in seconds as of the last tick: at most TICK old."""

    __slots__ = ("now",)

    def __init__(self, now: float) -> None:
        self.now = now
