"""One look at a rollout: its evidence, the verdict, and where that leaves automation. Reads, decides nothing."""

from dataclasses import dataclass

from sqlalchemy import Connection

from modelctl.controlplane.automation.conducting import Standing, is_last, share_of
from modelctl.controlplane.automation.wall_clock import minute_of_week
from modelctl.controlplane.judgement.comparison import Evidence
from modelctl.controlplane.judgement.inquiry import judgement_of
from modelctl.controlplane.judgement.judging import Judgement, missing_for
from modelctl.errors import InvalidInput
from modelctl.freeze import active, freeze_text
from modelctl.rollout import Rollout
from modelctl.store import decisions, freezes


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen at one moment, all of one transaction."""

    standing: Standing
    evidence: Evidence
    judgement: Judgement


def look_at(connection: Connection, rollout: Rollout, *, at: int) -> Look:
    """The look at Unix microsecond `at`."""
    evidence, judgement = judgement_of(connection, rollout, at=at // 1000)
    return look_from(connection, evidence, judgement=judgement, at=at)


def look_from(connection: Connection, evidence: Evidence, *, judgement: Judgement, at: int) -> Look:
    """The look with evidence that is judged already."""
    rollout = evidence.rollout
    standing = Standing(
        rollout=rollout,
        word=judgement.word,
        sentence=judgement.sentence,
        at=at // 1000,
        missing=() if is_last(rollout) else missing_for(judgement, share_of(rollout.steps[rollout.step + 1])),
        needs=judgement.needs,
        frozen=frozen(connection, rollout.route, at=at // 1000),
        latched={one.kind: one.at // 1000 for one in decisions.latched(connection, rollout.id)},
        shown=sum(evidence.sums.counts(name, "funnel").get("sent", 0) for name in rollout.candidates),
        winner=judgement.winner,
    )
    return Look(standing, evidence, judgement)


def frozen(connection: Connection, route: str, *, at: int) -> str:
    """Why the route's traffic is not moved towards a candidate at Unix millisecond `at`; empty when it may be."""
    try:
        freeze = active(freezes.load(connection), route, at=at, wall=minute_of_week)
    except InvalidInput as error:
        # Declared on another machine: what cannot be told bars raises, and must not keep harm from being rolled back.
        return f"Whether a freeze holds cannot be told here: {error}."
    if freeze is None:
        return ""
    where = f"route {freeze.route!r}" if freeze.route else "all routes"
    return f"Freeze {freeze.id} of {where} holds ({freeze_text(freeze)}){': ' + freeze.reason if freeze.reason else ''}."
