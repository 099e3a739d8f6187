"""A16, A17, A18: rows that are no independent units, of sticky users, of copied requests, of users with many requests."""

import numpy as np
from numpy.typing import NDArray

from modelctl.statistics import arm_given_event, clusters, coin, difference
from modelctl.statistics.arrays import Floats
from modelctl.statistics.clusters import Clusters, ClusterStage
from modelctl.statistics.comparison import Comparison
from modelctl.statistics.difference import Proportion, ProportionStage
from tests.statistics.acceptance.promise import LOG_20, Bools, Case, Measured, alarms, batches, control, cumulative, false_alarms

Ints = NDArray[np.int64]

RAMPS = {"flat split of 20 %": np.full(40, 0.2), "ramp by hash": np.repeat([0.02, 0.05, 0.2, 0.5], 10)}
USERS = 600


def events_of_users(rng: np.random.Generator, shares: Floats, *, runs: int) -> tuple[Ints, Bools]:
    """Events by run, user and period of users with very different traffic and error rates; and whether they fell to the candidate.

    A user's hash is drawn once; in a period with share pi the users with a hash below pi are the candidate's.
    """
    rates = rng.lognormal(0.0, 1.5, size=(runs, USERS, 1)) * rng.beta(0.5, 4.5, size=(runs, USERS, 1))
    events = rng.poisson(np.broadcast_to(rates, (runs, USERS, len(shares))))
    return events, rng.random((runs, USERS, 1)) < shares


def evidence(events: Ints, candidate: Bools, *, shares: Floats) -> Floats:
    """ln E of arm-given-event after each period, one stage for each share."""
    stages = np.unique(shares)
    at = (shares[:, None] == stages)[None]
    k = (events * candidate).sum(axis=1)[..., None] * at
    n = events.sum(axis=1)[..., None] * at
    return arm_given_event.log_e(cumulative(k), cumulative(n), shares=stages)


def sticky_users(runs: int) -> list[Measured]:
    """A16."""
    found = []
    for ramp, shares in RAMPS.items():
        rng, once, each = np.random.default_rng(16), 0, 0
        for part in batches(runs, 100):
            events, candidate = events_of_users(rng, shares, runs=part)
            first = (events > 0) & (np.cumsum(events > 0, axis=2) == 1)
            once += alarms(evidence(first.astype(np.int64), candidate, shares=shares) >= LOG_20)
            each += alarms(evidence(events, candidate, shares=shares) >= LOG_20)
        found.append(false_alarms(f"sticky heavy users, {ramp}, first event of each user", once, runs=runs))
        found.append(control(f"sticky heavy users, {ramp}, every event", each, runs=runs, share=0.2))
    return found


def first_copies(ids: Ints) -> Bools:
    """Where a run (row) sees a request's hash for the first time."""
    order = np.argsort(ids, axis=1, kind="stable")
    ordered = np.take_along_axis(ids, order, axis=1)
    new = np.ones_like(ordered, dtype=bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.zeros_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first


def copied_requests(runs: int) -> list[Measured]:
    """A17: of 300 requests whose answers differ, each is shown ten times within a short while."""
    rng, once, each = np.random.default_rng(17), 0, 0
    asked = np.repeat(np.arange(300), 10)
    for part in batches(runs, 200):
        ids = asked[np.argsort(asked + rng.uniform(0, 3, size=(part, len(asked))), axis=1)]
        wins = np.take_along_axis(rng.random((part, 300)) < 0.5, ids, axis=1)
        first = first_copies(ids)
        once += alarms(coin.log_e(cumulative(wins & first), cumulative(first), p0=0.5) >= LOG_20)
        each += alarms(coin.log_e(cumulative(wins), cumulative(np.ones_like(wins)), p0=0.5) >= LOG_20)
    return [
        false_alarms("shadow requests shown ten times, each hash once", once, runs=runs),
        control("shadow requests shown ten times, every copy", each, runs=runs, share=0.9),
    ]


def closed_windows(rng: np.random.Generator, *, looks: int) -> list[Clusters]:
    """Sums at each look over 20 more users, of 1 to 100 requests and a success rate of their own; a user enters once, complete."""
    users = 20 * looks
    rows = np.minimum(np.ceil(rng.lognormal(1.5, 1.2, size=users)), 100)
    hits = rng.binomial(rows.astype(np.int64), rng.beta(0.5, 4.5, size=users)).astype(np.float64)
    ends = np.arange(20, users + 1, 20)
    sums = [np.cumsum(part)[ends - 1] for part in (hits, rows, hits * hits, rows * rows, hits * rows)]
    return [
        Clusters(units=int(units), s=float(s), n=float(n), ss=float(ss), nn=float(nn), sn=float(sn))
        for units, s, n, ss, nn, sn in zip(ends, *sums, strict=True)
    ]


def as_rows(stage: ClusterStage) -> ProportionStage:
    """The mistake: every row a unit."""
    return ProportionStage(*(Proportion(int(arm.n), int(arm.s)) for arm in (stage.baseline, stage.candidate)))


def missed(found: Comparison) -> bool:
    """Whether equal arms were told apart."""
    return found.usable and not found.lower <= 0 <= found.upper


def users_in_windows(runs: int) -> list[Measured]:
    """A18: 400 users an arm, a look after every 20 of each."""
    rng, clustered, independent = np.random.default_rng(18), 0, 0
    for _ in range(runs):
        pairs = zip(closed_windows(rng, looks=20), closed_windows(rng, looks=20), strict=True)
        stages = [ClusterStage(*pair) for pair in pairs]
        clustered += any(missed(clusters.compare([stage], tau=0.03, alpha=0.05)) for stage in stages)
        independent += any(missed(difference.compare_proportions([as_rows(stage)], tau=0.03, alpha=0.05)) for stage in stages)
    return [
        false_alarms("users in closed windows, delta method", clustered, runs=runs),
        control("the same users, every request a unit", independent, runs=runs, share=0.2),
    ]


CASES = (
    Case(id="A16", measure=sticky_users, runs=300, quick=30),
    Case(id="A17", measure=copied_requests, runs=1000, quick=100),
    Case(id="A18", measure=users_in_windows, runs=300, quick=60),
)
