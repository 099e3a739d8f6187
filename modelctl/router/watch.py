"""What is learned about an endpoint from the requests it gets. Only where there is a choice of endpoints."""

from collections.abc import Callable
from time import perf_counter

from modelctl.router.balance import PENALTY, Candidate
from modelctl.router.clock import Clock
from modelctl.router.ejection import Outcomes

_BUSY = (429, 503)
_RETRY_AFTER = b"retry-after:"


class Watch:
    """Its connections tell it of each request once the head of the answer is there, and once how it ended.

    `began` is when a request was sent, in the seconds of perf_counter. `on_streak` is told the endpoint's number, and the
    time, when `consecutive` requests in a row have failed, and at each failure after that; 0 means never.
    """

    __slots__ = ("_clock", "_consecutive", "_on_streak", "candidate", "outcomes")

    def __init__(self, candidate: Candidate, clock: Clock, *, consecutive: int, on_streak: Callable[[int, float], None]) -> None:
        self.candidate = candidate
        self.outcomes = Outcomes()
        self._clock = clock
        self._consecutive = consecutive
        self._on_streak = on_streak

    def on_head(self, began: float, status: int, *, lines: list[bytes]) -> None:
        """The head of an answer. 5xx is a failure now; with any other status the end will tell."""
        now = self._clock.now
        if status >= 500 or status in _BUSY:
            self.candidate.load.failed(now, retry_after(lines) if status in _BUSY else PENALTY)
            self.candidate.load.at_least(perf_counter() - began, now)
            if status >= 500:
                self._fail()
        else:
            self.candidate.load.answered(perf_counter() - began, now)

    def on_end(self, status: int) -> None:
        """The answer is over, or nobody wants the rest."""
        if status < 500:
            self.outcomes.succeed()

    def on_broken(self, began: float) -> None:
        """There will be no answer, or not all of it. One of 5xx has been counted."""
        now = self._clock.now
        self.candidate.load.failed(now)
        self.candidate.load.at_least(perf_counter() - began, now)
        self._fail()

    def on_unreachable(self) -> None:
        """A connection could not be opened."""
        self.candidate.load.failed(self._clock.now)
        self._fail()

    def on_left(self, began: float) -> None:
        """The client did not wait for the answer any longer."""
        self.candidate.load.at_least(perf_counter() - began, self._clock.now)

    def _fail(self) -> None:
        self.outcomes.fail()
        if self._consecutive and self.outcomes.streak >= self._consecutive:
            self._on_streak(self.candidate.number, self._clock.now)


def retry_after(lines: list[bytes]) -> float:
    """The seconds of a Retry-After field (RFC 9110 10.2.3), 0 without one. A date is not read: it needs both clocks to agree."""
    for line in lines:
        if line[: len(_RETRY_AFTER)].lower() == _RETRY_AFTER:
            value = line[len(_RETRY_AFTER) :].strip()
            if value.isdigit() and len(value) <= 9:
                return float(int(value))
    return 0.0
