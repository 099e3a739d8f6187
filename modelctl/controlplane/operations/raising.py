"""What starting a rollout, or changing the shares of an open one, may not do without saying why: pass by its gate or a freeze."""

import msgspec
from sqlalchemy import Connection

from modelctl.controlplane.automation.conducting import binding, share_of
from modelctl.controlplane.automation.standing import frozen, look_at
from modelctl.controlplane.operations.change import Author
from modelctl.errors import GateNotPassed, InvalidInput
from modelctl.rollout import Rollout


def pass_raise(connection: Connection, asked: Rollout, *, standing: Rollout | None, force: bool, author: Author) -> tuple[str, ...]:
    """What was passed by force, as sentences. `asked` is the rollout as it will be, `standing` the open one that it changes.

    A larger share of an open rollout needs what advancing to it would need. Raises GateNotPassed, and InvalidInput for force
    without a reason.
    """
    if force and not author.reason:
        raise InvalidInput("say why it has to be forced: --reason WHY; the history keeps it")
    barred = _barred(connection, asked, standing=standing, at=author.at)
    if barred and not force:
        share = f"{share_of(asked.current) / 100:g}%"
        raise GateNotPassed(
            f"cannot give the candidate {share} of route {asked.route!r} yet: {' '.join(barred)} "
            "To go ahead all the same, say why: repeat the command with --force --reason WHY"
        )
    return barred


def _barred(connection: Connection, asked: Rollout, *, standing: Rollout | None, at: int) -> tuple[str, ...]:
    before = 0 if standing is None else share_of(standing.current)
    if share_of(asked.current) <= before:
        return ()
    if standing is None:
        reason = frozen(connection, asked.route, at=at // 1000)
        return (reason,) if reason else ()
    # The open rollout as if its next step were the share that is asked for.
    ahead = msgspec.structs.replace(standing, steps=(standing.current, *asked.steps), step=0)
    return tuple(block.sentence for block in binding(look_at(connection, ahead, at=at).standing))
