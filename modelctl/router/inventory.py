"""Everything a worker counts and measures of itself, under the keys of its reports."""

from collections import Counter
from collections.abc import Iterator

from modelctl.counts import Gauge, Key, Written, worded
from modelctl.router.breaker import CLOSED
from modelctl.router.census import Census
from modelctl.router.gauge import resident
from modelctl.router.spool import Spool
from modelctl.router.table import Targets
from modelctl.router.worker import Worker


class Inventory:
    """Of one worker. `events` counts what it has reported."""

    def __init__(self, worker: Worker, spool: Spool, *, events: Counter[str]) -> None:
        self._worker = worker
        self._spool = spool
        self._writer = spool.writer
        self._events = events

    def changes(self, census: Census) -> Iterator[tuple[Key, int]]:
        """Part of Counted."""
        yield from census.arms(self._worker.targets.counts)
        yield from census.single(self._single())

    def _single(self) -> Iterator[tuple[Key, int]]:
        worker = self._worker
        for code, count in worker.refusals.items():
            yield ("refusals", code), count
        for event, count in self._events.items():
            yield ("events", event), count
        for name, target in worker.targets.by_backend():
            yield ("retries", name), target.retried
            yield ("retries-refused", name), target.budget_exhausted
        unread = worker.targets.unread
        for why, count in (("large", unread.large), ("late", unread.late), ("no_json", unread.no_json)):
            yield ("unread-bodies", why), count
        yield ("evidence-unwaited",), self._spool.unwaited
        yield ("evidence-unsynced",), self._writer.unsynced
        tally = self._writer.tally()
        yield ("evidence-offered",), tally.offered
        yield ("evidence-accepted",), tally.accepted
        for reason, count in tally.dropped.items():
            yield ("evidence-dropped", worded(reason)), count

    def gauges(self) -> Iterator[Gauge]:
        """Part of Counted."""
        worker = self._worker
        yield Gauge(("connections",), worker.connections)
        yield Gauge(("inflight",), worker.load.inflight)
        yield Gauge(("shortage",), worker.load.level)
        yield Gauge(("memory",), resident())
        yield Gauge(("evidence-buffer",), self._writer.backlog)
        yield from _endpoints(worker.targets)
        for route, arm, state in worker.targets.breaker_states():
            yield Gauge(("breakers-open", route, arm), float(state != CLOSED))

    def written(self) -> Written:
        """Part of Counted."""
        return Written(self._writer.name, self._writer.tally().accepted, self._writer.size)


def _endpoints(targets: Targets) -> Iterator[Gauge]:
    """How the endpoints of each backend stand, as this worker sees them."""
    for name, target in targets.by_backend():
        states = target.endpoints_state()
        yield Gauge(("endpoints", name), len(states))
        yield Gauge(("endpoints-available", name), sum(state.available for state in states))
        yield Gauge(("endpoints-ejected", name), sum(state.why.startswith("ejected") for state in states))
        yield Gauge(("backend-inflight", name), sum(state.inflight for state in states))
