"""Model servers: what they answer lately, how fast, what they are used for, and how they are reached."""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, Engine
from starlette.responses import Response

from modelctl.controlplane.compiler import checks_of
from modelctl.controlplane.dashboard.health import standing_of
from modelctl.controlplane.dashboard.paging import Part, part_of
from modelctl.controlplane.dashboard.visit import Visit
from modelctl.policy import Health
from modelctl.statistics.quantiles import Histogram, quantile
from modelctl.store import catalog as store
from modelctl.store import glance, reading
from modelctl.store.catalog import BackendEntry, Catalog, Event
from modelctl.store.engine import reading as transaction
from modelctl.store.glance import Bucket, Served

WINDOW_MINUTES = 5
QUANTILES = (0.5, 0.95, 0.99)
EVENTS = 20


class Use(msgspec.Struct, frozen=True):
    """Where a backend stands: on a route, as its baseline or in its open rollout."""

    route: str
    role: str
    rollout: int = 0


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One backend. `latencies` are those of QUANTILES in microseconds over the last five minutes; None without answers."""

    entry: BackendEntry
    uses: tuple[Use, ...]
    served: Served
    latencies: tuple[float | None, ...]
    checks: Health | None


async def show_all(visit: Visit) -> Response:
    """The list; `q` narrows it to backends with that text in their name or an endpoint."""
    search = visit.asked("q")
    part = await visit.run(read_backends, search=search, page=visit.asked("page"), at=visit.at)
    gauges = visit.plane.board.totals.gauges(visit.at)
    health = {line.entry.name: standing_of(line.entry.name, gauges) for line in part.items}
    return await visit.page("backends.html", part=part, search=search, health=health)


async def show(visit: Visit) -> Response:
    """One of them, with its settings."""
    line, events = await visit.run(read_backend, visit.name(), at=visit.at)
    settings = {name: value for name, value in msgspec.to_builtins(line.entry.backend).items() if name not in ("name", "endpoints")}
    health = standing_of(line.entry.name, visit.plane.board.totals.gauges(visit.at))
    return await visit.page("backend.html", line=line, entry=line.entry, events=events, settings=settings, health=health)


def read_backends(engine: Engine, *, search: str, page: str, at: int) -> Part[Line]:
    """One page of the list at Unix microsecond `at`."""
    with transaction(engine) as connection:
        catalog = store.load(connection)
        chosen = [one for one in catalog.backends if search.lower() in f"{one.name} {' '.join(one.backend.endpoints)}".lower()]
        part = part_of(chosen, page)
        return Part(_lines(connection, catalog, entries=part.items, at=at), part.page, part.pages, part.total)


def read_backend(engine: Engine, name: str, *, at: int) -> tuple[Line, tuple[Event, ...]]:
    """One backend and what was done to it. Raises NotFound."""
    with transaction(engine) as connection:
        catalog = store.load(connection)
        (line,) = _lines(connection, catalog, entries=[catalog.backend(name)], at=at)
        return line, reading.events(connection, {"backend": name}, limit=EVENTS).items


def uses_of(catalog: Catalog) -> dict[str, list[Use]]:
    """By backend: routes it is the baseline of, and open rollouts it is a candidate in."""
    found: dict[str, list[Use]] = {}
    opened = {rollout.route: rollout for rollout in catalog.rollouts}
    for route in catalog.routes:
        rollout = opened.get(route.name)
        found.setdefault(route.baseline, []).append(Use(route.name, "baseline", rollout.id if rollout else 0))
        for candidate in rollout.candidates if rollout else ():
            found.setdefault(candidate, []).append(Use(route.name, "candidate", rollout.id if rollout else 0))
    return found


def _lines(connection: Connection, catalog: Catalog, *, entries: Sequence[BackendEntry], at: int) -> list[Line]:
    uses, names = uses_of(catalog), [entry.name for entry in entries]
    routes = sorted({use.route for name in names for use in uses.get(name, ())})
    since = at // 60_000_000 - WINDOW_MINUTES
    served = _by_arm(glance.served_since(connection, routes, since=since))
    buckets = glance.latencies_since(connection, names, routes=routes, since=since)
    return [
        Line(
            entry=entry,
            uses=tuple(uses.get(entry.name, ())),
            served=served.get(entry.name, Served()),
            latencies=latencies_of([one for one in buckets if one.arm == entry.name]),
            checks=checks_of(entry.backend),
        )
        for entry in entries
    ]


def latencies_of(buckets: Sequence[Bucket]) -> tuple[float | None, ...]:
    """The quantiles of a histogram, in microseconds."""
    positive = {int(one.key): one.n for one in buckets if one.key != "zero"}
    histogram = Histogram(positive, zero=sum(one.n for one in buckets if one.key == "zero"))
    return tuple(quantile(histogram, q) if histogram.n else None for q in QUANTILES)


def _by_arm(served: Mapping[tuple[str, int, str], Served]) -> dict[str, Served]:
    found: dict[str, Served] = {}
    for (_, _, arm), one in served.items():
        found[arm] = Served(*[mine + its for mine, its in zip(found.get(arm, Served()), one, strict=True)])
    return found
