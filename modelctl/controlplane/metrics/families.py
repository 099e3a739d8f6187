"""The numbers of every metric, from what the workers told, the store, the routing table and the fleet. Pure."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from modelctl import __version__
from modelctl.controlplane.automation.conducting import LATCHED_WORDS
from modelctl.controlplane.fleet import WorkerStatus
from modelctl.controlplane.metrics import catalog
from modelctl.controlplane.metrics.catalog import METRICS, Metric, Type
from modelctl.controlplane.metrics.stored import Stored
from modelctl.controlplane.metrics.text import Durations, Family, Sample
from modelctl.controlplane.metrics.totals import Backlog, Totals, matching
from modelctl.counts import DROPS, OUTCOMES, RESULTS, Key, worded
from modelctl.traffic import ALL, RoutingTable

_DECISIONS = ("advance", *sorted(LATCHED_WORDS))


class Scene(NamedTuple):
    """What a scrape sees. `stored` is the last that the database said; `fresh` whether it said so now."""

    totals: Totals
    table: RoutingTable
    workers: Sequence[WorkerStatus]
    stored: Stored
    fresh: bool
    now: int


def families(scene: Scene) -> list[Family]:
    """All metrics, in the catalog's order."""
    made = _made_here(scene)
    gauges = scene.totals.gauges(scene.now)
    return [Family(metric, made[metric] if metric in made else _told(metric, scene, gauges=gauges)) for metric in METRICS]


def _told(metric: Metric, scene: Scene, *, gauges: dict[Key, list[float]]) -> Sequence[Sample | Durations]:
    """What the workers told."""
    if metric.type is Type.HISTOGRAM:
        return list(_durations(metric, scene.totals))
    if metric.type is Type.COUNTER:
        return _counts(metric, dict(matching(scene.totals.counts, metric.source, words=len(metric.labels))), table=scene.table)
    measured = matching(gauges, metric.source, words=len(metric.labels))
    found = [Sample(labels, metric.together(values)) for labels, values in measured]
    return found if found or metric.labels else [Sample((), 0)]


def _counts(metric: Metric, counts: Mapping[Key, int], *, table: RoutingTable) -> list[Sample]:
    return [Sample(labels, counts.get(labels, 0)) for labels in {*_expected(metric, table), *counts}]


def _expected(metric: Metric, table: RoutingTable) -> Iterator[Key]:
    """The counts that are there before there is anything to count: of one that begins at 1, nobody sees it grow."""
    arms = [(route.name, arm) for route in table.routes for arm in route.arms]
    if not metric.labels:
        yield ()
    elif metric is catalog.REQUESTS:
        yield from ((route, arm.backend, word) for route, arm in arms if arm.answers for word in OUTCOMES)
    elif metric is catalog.SHADOW:
        yield from ((route, arm.backend, word) for route, arm in arms if arm.shown for word in RESULTS)
    elif metric.labels == ("backend",):
        yield from ((backend.name,) for backend in table.backends)
    elif metric is catalog.DECISIONS:
        yield from ((route.name, word) for route in table.routes for word in _DECISIONS)
    elif metric is catalog.DROPPED:
        yield from ((worded(reason),) for reason in DROPS)


def _durations(metric: Metric, totals: Totals) -> Iterator[Durations]:
    group = f"{metric.source}-durations"
    buckets: dict[Key, dict[str, int]] = defaultdict(dict)
    for (route, arm, edge), count in matching(totals.counts, group, words=3):
        buckets[route, arm][edge] = count
    took = dict(matching(totals.counts, f"{metric.source}-took", words=2))
    for place, counts in buckets.items():
        yield Durations(place, counts, took.get(place, 0) / 1e6, totals.exemplars.get((group, *place), {}))


def _made_here(scene: Scene) -> dict[Metric, list[Sample]]:
    stored, table = scene.stored, scene.table
    backlog = scene.totals.backlog(stored.done, scene.now)
    alive = [worker for worker in scene.workers if worker.alive]
    arms = [(route, arm) for route in table.routes for arm in route.arms]
    from_store = _from_store(stored, table) if stored.known else {}
    return {
        catalog.SHARE: [Sample((route.name, arm.backend, arm.role.value), arm.answers / ALL) for route, arm in arms],
        catalog.SHADOW_SHARE: [Sample((route.name, arm.backend, arm.role.value), arm.shown / ALL) for route, arm in arms],
        catalog.TABLE_VERSION: [Sample((), table.version)],
        catalog.WORKERS: [Sample((), len(alive))],
        catalog.WORKERS_BEHIND: [Sample((), sum(worker.version != table.version for worker in alive))],
        catalog.BUILD: [Sample((__version__,), 1)],
        catalog.DATABASE: [Sample((), int(scene.fresh))],
        **{metric: [] for metric in _OF_STORE},
        **from_store,
        **_of(backlog),
    }


_OF_STORE = (
    catalog.DECISIONS,
    catalog.ROLLOUTS,
    catalog.COMMITTED,
    catalog.QUARANTINED,
    catalog.DUPLICATE,
    catalog.CORRUPT,
)


def _of(backlog: Backlog) -> dict[Metric, list[Sample]]:
    return {
        catalog.PENDING: [Sample((), backlog.records)],
        catalog.BACKLOG: [Sample((), backlog.size)],
        catalog.LAG: [Sample((), backlog.lag)],
    }


def _from_store(stored: Stored, table: RoutingTable) -> dict[Metric, list[Sample]]:
    return {
        catalog.DECISIONS: _counts(catalog.DECISIONS, stored.decisions, table=table),
        catalog.ROLLOUTS: [Sample(labels, count) for labels, count in stored.rollouts.items()],
        catalog.COMMITTED: [Sample((), stored.committed)],
        catalog.QUARANTINED: [Sample((), stored.quarantined)],
        catalog.DUPLICATE: [Sample((), stored.duplicate)],
        catalog.CORRUPT: [Sample((), stored.corrupt_bytes)],
    }
