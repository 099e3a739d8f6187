"""A second person agrees that a candidate may get all of the traffic."""

import msgspec
from sqlalchemy import Engine

from modelctl.conduct import Approval
from modelctl.controlplane.operations.change import Author, check_revision
from modelctl.errors import IllegalMove, InvalidInput
from modelctl.rollout import Rollout
from modelctl.store import catalog as store
from modelctl.store.catalog import Event
from modelctl.store.engine import writing

ANONYMOUS = "anonymous"


def approve_rollout(engine: Engine, rollout: int, *, author: Author, revision: int | None = None) -> Rollout:
    """The rollout with the author's approval; who approved already changes nothing.

    Raises NotFound, StaleRevision, IllegalMove for a rollout that has ended, and InvalidInput for nobody and for its starter.
    """
    with writing(engine) as connection:
        current = store.find_rollout(connection, rollout)
        check_revision(f"rollout {rollout}", wanted=revision, current=current.revision)
        _check_author(current, author)
        if any(one.actor == author.actor for one in current.approvals):
            return current
        approval = Approval(actor=author.actor, at=author.at // 1000, reason=author.reason)
        approvals = (*current.approvals, approval)
        approved = msgspec.structs.replace(current, approvals=approvals, revision=current.revision + 1)
        store.save_rollout(connection, approved, replaces=current.revision)
        detail = {"approvals": len(approvals), "needed": current.conduct.approvals}
        store.append_event(connection, _event(approved, author=author, detail=detail))
    return approved


def _check_author(rollout: Rollout, author: Author) -> None:
    name = f"rollout {rollout.id} of route {rollout.route!r}"
    if not rollout.open:
        raise IllegalMove(f"cannot approve: {name} has ended ({rollout.phase})")
    if author.actor == ANONYMOUS:
        raise InvalidInput("an approval is somebody's: say who you are (modelctl-actor, or `actor` in the body)")
    if author.actor == rollout.actor:
        asked = f"it asks for {rollout.conduct.approvals}" if rollout.conduct.approvals else "it asks for none"
        raise InvalidInput(
            f"{author.actor!r} started {name}, so this approval would not count ({asked}); another person runs "
            f"`modelctl approve {rollout.route}`"
        )


def _event(rollout: Rollout, *, author: Author, detail: dict[str, int]) -> Event:
    return Event(
        at=author.at,
        actor=author.actor,
        action="approve",
        route=rollout.route,
        rollout=rollout.id,
        reason=author.reason,
        detail=detail,
    )
