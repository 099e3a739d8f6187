"""All workers' counts added up, and how each worker stands. Clock-free: times are Unix microseconds and come in as arguments.

A worker tells what came since its last report, so the sums only grow: also when a worker ends, and from 0 when this process starts
anew. One event loop owns a Totals, so nothing here takes a lock.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeVar

from modelctl.counts import Exemplar, Gauge, Key, Report, bucket_of

T = TypeVar("T")
SILENT_AFTER = 15_000_000  # a worker reports at least every six seconds
FORGOTTEN_AFTER = 86_400_000_000
MOST_REMEMBERED = 3_600  # of a spool's reports: an hour, more coarsely beyond


class Reached(NamedTuple):
    """How far a spool was: when, records accepted, and bytes written."""

    at: int
    accepted: int
    size: int


class Backlog(NamedTuple):
    """What the database does not have: records, bytes, and the seconds since the oldest of them was written."""

    records: int
    size: int
    lag: float


class _Boot:
    """One worker from its start to its end."""

    __slots__ = ("at", "gauges", "last", "number", "reached", "spool")

    def __init__(self) -> None:
        self.number = 0
        self.at = 0
        self.last = False
        self.gauges: tuple[Gauge, ...] = ()
        self.spool = ""
        self.reached: deque[Reached] = deque()

    def note(self, report: Report, at: int) -> None:
        self.number, self.at, self.last = report.number, at, report.last
        self.gauges = report.gauges or self.gauges
        self.spool = report.written.spool
        now = Reached(at, report.written.accepted, report.written.size)
        if self.reached and self.reached[-1].accepted == now.accepted:
            return
        self.reached.append(now)
        if len(self.reached) > MOST_REMEMBERED:
            self.reached = deque(one for number, one in enumerate(self.reached) if number % 2 == 0 or one is now)

    def backlog(self, done: int, now: int) -> Backlog:
        """What is written and not among the first `done` records. Of these nothing is remembered any more, but the newest."""
        while len(self.reached) > 1 and self.reached[1].accepted <= done:
            self.reached.popleft()
        if not self.reached or self.reached[-1].accepted <= done:
            return Backlog(0, 0, 0.0)
        newest = self.reached[-1]
        waits = next(one for one in self.reached if one.accepted > done)
        before = self.reached[0] if self.reached[0].accepted <= done else Reached(0, 0, 0)
        share = (done - before.accepted) / (waits.accepted - before.accepted)
        had = before.size + share * (waits.size - before.size)
        return Backlog(newest.accepted - done, round(newest.size - had), (now - waits.at) / 1e6)


class Totals:
    """See the module. `counts` are by key, exemplars by key and then by their bucket."""

    def __init__(self) -> None:
        self.counts: dict[Key, int] = {}
        self.exemplars: dict[Key, dict[str, Exemplar]] = {}
        self._boots: dict[str, _Boot] = {}

    def take(self, report: Report, *, at: int) -> bool:
        """Adds what is new. False when it was taken before: its answer did not reach the worker."""
        boot = self._boots.setdefault(report.boot, _Boot())
        if report.number <= boot.number:
            return False
        boot.note(report, at)
        for key, count in report.changes:
            self.counts[key] = self.counts.get(key, 0) + count
        for one in report.exemplars:
            self.exemplars.setdefault(one.key, {})[bucket_of(one.took)] = one
        self._forget(at)
        return True

    def gauges(self, now: int) -> dict[Key, list[float]]:
        """What the workers that are there measure, by key."""
        found: dict[Key, list[float]] = {}
        for boot in self._boots.values():
            if not boot.last and now - boot.at <= SILENT_AFTER:
                for gauge in boot.gauges:
                    found.setdefault(gauge.key, []).append(gauge.value)
        return found

    def backlog(self, done: Mapping[str, int], now: int) -> Backlog:
        """Of all spools; `done` is how many records of each the database has dealt with."""
        parts = [boot.backlog(done.get(boot.spool, 0), now) for boot in self._boots.values()]
        return Backlog(
            sum(part.records for part in parts), sum(part.size for part in parts), max((part.lag for part in parts), default=0.0)
        )

    def _forget(self, now: int) -> None:
        """Workers that have been silent for a day: nothing of theirs comes any more."""
        for name in [name for name, boot in self._boots.items() if now - boot.at > FORGOTTEN_AFTER]:
            del self._boots[name]


def matching(numbers: Mapping[Key, T], source: str, *, words: int) -> Iterator[tuple[Key, T]]:
    """The numbers of one source, by the rest of their keys, of so many words: a router of another version may send others."""
    return ((key[1:], number) for key, number in numbers.items() if key[:1] == (source,) and len(key) == words + 1)
