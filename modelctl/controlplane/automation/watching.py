"""After a promotion: while its watch lasts and the old baseline is kept, late evidence can still put that back.

Two things can: labels of the rollout's own requests that come late and prove harm, and the winner breaking a limit on what it has
answered since. What follows from it, `acting.taking_back` does.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, select

from modelctl.controlplane.automation.conducting import ROLLBACK
from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.inquiry import judgement_of
from modelctl.controlplane.judgement.measured import Question, proportion
from modelctl.controlplane.judgement.needed import metrics_for
from modelctl.controlplane.judgement.sums import Sums
from modelctl.gate import Gate, GateRole, gate_text
from modelctl.metric import Design, Scale, Worse, metric_named
from modelctl.rollout import Rollout
from modelctl.statistics import coin
from modelctl.statistics.tuning import split_alpha
from modelctl.store import catalog, decisions, summing
from modelctl.store.catalog import Catalog
from modelctl.store.tables import event as events

WATCH = "watch"
MINUTE_MS = 60_000


def watched(connection: Connection, *, at: int) -> tuple[Rollout, ...]:
    """The promoted rollouts that may still be taken back at Unix microsecond `at`."""
    live = catalog.load(connection)
    return tuple(one for one in catalog.promoted(connection) if _may_return(connection, live, rollout=one, at=at))


def harm_since(connection: Connection, rollout: Rollout, *, at: int) -> str:
    """The proof that the promoted rollout does harm, as a sentence; empty while there is none."""
    # Harm that was known when somebody promoted all the same is no news.
    known = {one.kind for one in decisions.latched(connection, rollout.id)}
    if ROLLBACK not in known:
        _, judgement = judgement_of(connection, rollout, at=at // 1000)
        if judgement.word == ROLLBACK:
            return judgement.sentence
    return next(_broken(_since(connection, rollout)), "")


def _may_return(connection: Connection, live: Catalog, *, rollout: Rollout, at: int) -> bool:
    until = rollout.closed_at + rollout.conduct.watch_ms
    if not rollout.conduct.watch_ms or at // 1000 >= until:
        return False
    route = next((one for one in live.routes if one.name == rollout.route), None)
    kept = any(one.name == rollout.baseline for one in live.backends)
    if route is None or route.baseline != rollout.winner or not kept:
        return False
    table = events.c
    changed = select(table.id).where(table.backend == rollout.baseline, table.at >= rollout.closed_at * 1000)
    renewed = changed.where(table.action.in_(("change-backend", "add-backend", "remove-backend"))).limit(1)
    return connection.execute(renewed).first() is None


def _since(connection: Connection, rollout: Rollout) -> Evidence:
    """What the winner has answered without a rollout since it was promoted."""
    since = rollout.closed_at // MINUTE_MS
    rows = summing.sums(connection, rollout.route, rollout=0, since=since, metrics=metrics_for(rollout))
    return Evidence(rollout=rollout, stages=(), sums=Sums(rows), pivots=summing.pivots(connection, rollout.route, rollout=0))


def _broken(evidence: Evidence) -> Iterator[str]:
    """A sentence for each limit that the winner has proven to break."""
    rollout = evidence.rollout
    limits = {str(place): gate for place, gate in enumerate(rollout.gates) if _limits(rollout, gate)}
    levels = split_alpha(rollout.conduct.alpha_rollback, {name: gate.weight for name, gate in limits.items()}) if limits else {}
    for name, gate in limits.items():
        yield from _broken_limit(evidence, gate, alpha=levels[name])


def _broken_limit(evidence: Evidence, gate: Gate, *, alpha: float) -> Iterator[str]:
    winner, metric, limit = evidence.rollout.winner, metric_named(gate.metric, evidence.rollout.fields), gate.limit or 0.0
    asked = Question(evidence=evidence, candidate=winner, gate=gate, metric=metric, design=Design.LIMIT)
    found = proportion(asked, winner)
    if not found.n:
        return
    lower, upper = coin.interval(found.k, found.n, alpha=alpha)
    harmful = upper < limit if metric.worse is Worse.LOWER else lower > limit
    if harmful:
        yield (
            f"{winner}, {metric.title}: {100 * lower:.3g}% to {100 * upper:.3g}% since it was promoted ({found.n:,} requests), "
            f"beyond the limit of {100 * limit:.3g}% ({gate_text(gate)})."
        )


def _limits(rollout: Rollout, gate: Gate) -> bool:
    metric = metric_named(gate.metric, rollout.fields)
    share = metric.scale is Scale.SHARE and not metric.is_of_pairs
    return gate.role is GateRole.GUARDRAIL and gate.limit is not None and share
