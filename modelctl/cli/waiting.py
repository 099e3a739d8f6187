"""Waiting for a rollout to reach a phase."""

import time

from modelctl.cli.api import read, read_items
from modelctl.cli.command import Session
from modelctl.cli.exits import TimedOut, Undecided
from modelctl.cli.quantities import duration
from modelctl.cli.routes import address
from modelctl.cli.target import RolloutRow, only_route
from modelctl.errors import InvalidInput, ModelctlError, NotFound
from modelctl.rollout import Phase

_EVERY = 0.5


def checked_phase(text: str) -> Phase:
    """The phase that `text` names. Raises InvalidInput."""
    try:
        return Phase(text)
    except ValueError:
        raise InvalidInput(f"--wait {text}: a rollout can be waited for to be {', '.join(Phase)}") from None


def wait_for(session: Session, route: str, *, phase: Phase, within: float) -> RolloutRow:
    """The latest rollout of the route, once it is in `phase`.

    Raises NotFound without a rollout, ModelctlError when it ended otherwise, Undecided when its evidence ran out and it waits for a
    person, TimedOut after `within` seconds.
    """
    deadline = time.monotonic() + within
    current = latest(session, only_route(session, route, command=f"status {{route}} --wait {phase}"))
    while current.phase is not phase:
        if not current.open:
            raise ModelctlError(f"rollout {current.id} of route {current.route!r} ended: it is {current.phase}, not {phase}")
        if current.holds:
            raise Undecided(_undecided(current))
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimedOut(
                f"rollout {current.id} of route {current.route!r} is still {current.phase} after {duration(within)}, not {phase}"
            )
        time.sleep(min(_EVERY, left))
        current = read(session.api.get(f"/v1/rollouts/{current.id}"), RolloutRow)
    return current


def _undecided(rollout: RolloutRow) -> str:
    return (
        f"rollout {rollout.id} of route {rollout.route!r} is inconclusive and waits for a person: {rollout.holds}\n"
        f"  modelctl promote {rollout.route} --force --reason WHY\n  modelctl rollback {rollout.route}"
    )


def latest(session: Session, route: str) -> RolloutRow:
    """The route's open rollout, else its last one. Raises NotFound without any."""
    found = read_items(session.api.get("/v1/rollouts", route=route, limit=1), RolloutRow)
    if not found:
        session.api.get(address(route))  # says so when there is no such route
        raise NotFound(f"route {route!r} has had no rollout yet: start one with modelctl canary, shadow, blue-green or ab")
    return found[0]
