"""What every route does now, in one document: shares wanted and observed, the funnel, the verdict, the routers, the evidence."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Connection, Engine

from modelctl.controlplane.automation.conducting import bakes_until
from modelctl.controlplane.automation.next_moves import NextMove, WatchStatus, last_zero, next_of, watch_of
from modelctl.controlplane.automation.standing import look_from
from modelctl.controlplane.automation.zero import ZeroTraffic
from modelctl.controlplane.fleet import WorkerStatus
from modelctl.controlplane.judgement.funnel import Funnel
from modelctl.controlplane.judgement.inquiry import judged_evidence
from modelctl.controlplane.judgement.sums import Sums
from modelctl.controlplane.report.backlog import Backlog, backlogs
from modelctl.controlplane.report.content import summarise
from modelctl.controlplane.report.endings import Ending, ending_of
from modelctl.controlplane.report.gate_lines import GateLine, gate_lines
from modelctl.rollout import Rollout, legal_verbs, settled
from modelctl.store import catalog as store
from modelctl.store import decisions, reading, summing
from modelctl.store.catalog import Catalog, RouteEntry
from modelctl.store.decisions import Decision
from modelctl.store.engine import reading as transaction
from modelctl.traffic import ALL, Arm, Role

WINDOW_MINUTES = 5
_SERVED = ("requests", "error")


class ArmStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One backend on a route. Shares are basis points; `error_rate` is a share of 1. What was not observed is None.

    `observed` is of the last five minutes, the rest of the current stage (without a rollout: of the five minutes as well).
    """

    backend: str
    role: str
    answers: int
    shown: int
    observed: float | None
    observed_stage: float | None
    requests: int
    errors: int
    error_rate: float | None


class VerdictLine(msgspec.Struct, frozen=True):
    """The word, and the sentence that says why."""

    word: str
    sentence: str


class RolloutStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The open rollout of a route. `step` counts from 0; `verbs` are possible now; `next` is what automation does.

    `decisions` are the first crossings, with times in Unix microseconds. The step began at `step_at` and bakes until `baked_at`,
    both Unix milliseconds.
    """

    id: int
    strategy: str
    phase: str
    step: int
    steps: int
    title: str
    candidates: tuple[str, ...]
    preview: str
    verbs: tuple[str, ...]
    revision: int
    mode: str = "advise"
    step_at: int = 0
    baked_at: int = 0
    gates: tuple[GateLine, ...] = ()
    next: NextMove | None = None
    decisions: tuple[Decision, ...] = ()


class RouteStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One route. Without an open rollout it has no funnel and no verdict; `watch` is the promotion that may still be taken back.

    `last` is how its last rollout ended, `last_rollback` the course of that rollback where it was automation's own.
    """

    name: str
    path: str
    host: str
    baseline: str
    rollout: RolloutStatus | None
    arms: tuple[ArmStatus, ...]
    funnel: tuple[Funnel, ...] = ()
    verdict: VerdictLine | None = None
    watch: WatchStatus | None = None
    last_rollback: ZeroTraffic | None = None
    last: Ending | None = None


class EvidenceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Records on their way to the database, over all spools. `lag` is the seconds since a recorder last committed, or None.

    `reasons` are the dropped ones by why. `backlogs` are the spools on the control plane's machine in which something waits, the
    oldest first.
    """

    offered: int
    accepted: int
    dropped: int
    committed: int
    quarantined: int
    duplicate: int
    lag: float | None
    reasons: dict[str, int] = {}
    backlogs: tuple[Backlog, ...] = ()


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Everything at Unix millisecond `at`. `table_version` is the newest that was published."""

    table_version: int
    at: int = 0
    routes: tuple[RouteStatus, ...]
    workers: tuple[WorkerStatus, ...]
    evidence: EvidenceStatus


def read_status(
    engine: Engine, route: str | None, *, workers: Sequence[WorkerStatus], at: int, spools: Path | None = None
) -> Status:
    """The status of one route or of all, at Unix microsecond `at`, with what waits below `spools`. Raises NotFound."""
    with transaction(engine) as connection:
        catalog = store.load(connection)
        chosen = catalog.routes if route is None else (catalog.route(route),)
        return Status(
            table_version=catalog.version,
            at=at // 1000,
            routes=tuple(_route(connection, catalog, route=entry, at=at) for entry in chosen),
            workers=tuple(workers),
            evidence=evidence_status(connection, at=at, root=spools),
        )


def _route(connection: Connection, catalog: Catalog, *, route: RouteEntry, at: int) -> RouteStatus:
    rollout = catalog.open_rollout(route.name)
    return (
        settled_status(connection, route, at=at) if rollout is None else rollout_status(connection, route, rollout=rollout, at=at)
    )


def settled_status(connection: Connection, route: RouteEntry, *, at: int) -> RouteStatus:
    """The status of a route without an open rollout."""
    recent, arms = _recent(connection, route.name, rollout=0, at=at), settled(route.baseline)
    lines = _lines(route, None, arms=tuple(_arm(arm, arms, recent=recent, stage=recent) for arm in arms))
    watch, zero = watch_of(connection, route.name, at=at), last_zero(connection, route.name)
    return msgspec.structs.replace(lines, watch=watch, last_rollback=zero, last=ending_of(connection, route.name))


def rollout_status(connection: Connection, route: RouteEntry, *, rollout: Rollout, at: int) -> RouteStatus:
    """The status of a route under one of its rollouts, open or ended."""
    recent = _recent(connection, route.name, rollout=rollout.id, at=at)
    evidence = judged_evidence(connection, rollout)
    staged = Sums(row for row in evidence.sums.rows if row.stage == rollout.stage)
    arms = rollout.current.arms
    short = summarise(evidence, at=at // 1000)
    lines = _lines(route, rollout, arms=tuple(_arm(arm, arms, recent=recent, stage=staged) for arm in arms))
    verdict = VerdictLine(short.verdict.word, short.verdict.sentence)
    look = look_from(connection, evidence, judgement=short.verdict, at=at)
    opened = msgspec.structs.replace(
        _rollout(rollout),
        gates=gate_lines(short.rows),
        next=next_of(look.standing),
        decisions=decisions.latched(connection, rollout.id),
    )
    return msgspec.structs.replace(lines, rollout=opened, funnel=short.funnels, verdict=verdict)


def _recent(connection: Connection, route: str, *, rollout: int, at: int) -> Sums:
    since = at // 60_000_000 - WINDOW_MINUTES
    return Sums(summing.sums(connection, route, rollout=rollout, since=since, metrics=_SERVED))


def _lines(route: RouteEntry, rollout: Rollout | None, *, arms: tuple[ArmStatus, ...]) -> RouteStatus:
    return RouteStatus(
        name=route.name,
        path=route.path,
        host=route.host,
        baseline=route.baseline,
        rollout=None if rollout is None else _rollout(rollout),
        arms=arms,
    )


def _rollout(rollout: Rollout) -> RolloutStatus:
    return RolloutStatus(
        id=rollout.id,
        strategy=rollout.strategy,
        phase=rollout.phase.value,
        step=rollout.step,
        steps=len(rollout.steps),
        title=rollout.current.title,
        candidates=rollout.candidates,
        preview=f"/-/preview/{rollout.route}" if rollout.current.preview else "",
        verbs=tuple(verb.value for verb in legal_verbs(rollout)),
        revision=rollout.revision,
        mode=rollout.conduct.mode.value,
        step_at=max(rollout.step_at, rollout.opened_at),
        baked_at=bakes_until(rollout),
    )


def _arm(arm: Arm, arms: Sequence[Arm], *, recent: Sums, stage: Sums) -> ArmStatus:
    if arm.role is Role.NOISE:  # the requests of its backend are the baseline's
        recent = stage = Sums(())
    errors = stage.over_stages(arm.backend, "error")
    return ArmStatus(
        backend=arm.backend,
        role=arm.role.value,
        answers=arm.answers,
        shown=arm.shown,
        observed=_observed(arm, arms, sums=recent),
        observed_stage=_observed(arm, arms, sums=stage),
        requests=stage.n(arm.backend, "requests"),
        errors=errors.k,
        error_rate=errors.k / errors.n if errors.n else None,
    )


def _observed(arm: Arm, arms: Sequence[Arm], *, sums: Sums) -> float | None:
    total = sum(sums.n(other.backend, "requests") for other in arms if other.role is not Role.NOISE)
    return ALL * sums.n(arm.backend, "requests") / total if total else None


def evidence_status(connection: Connection, *, at: int, root: Path | None) -> EvidenceStatus:
    """How far the recorders are at Unix microsecond `at`, with what waits below `root`."""
    spools = reading.spools(connection)
    newest = max((spool.updated_at for spool in spools), default=None)
    return EvidenceStatus(
        offered=sum(spool.offered for spool in spools),
        accepted=sum(spool.accepted for spool in spools),
        dropped=sum(sum(spool.dropped.values()) for spool in spools),
        committed=sum(spool.committed for spool in spools),
        quarantined=sum(spool.quarantined for spool in spools),
        duplicate=sum(spool.duplicate for spool in spools),
        lag=None if newest is None else max(0.0, (at - newest) / 1_000_000),
        reasons=dict(sum((Counter(spool.dropped) for spool in spools), Counter())),
        backlogs=backlogs(root, spools) if root is not None else (),
    )
