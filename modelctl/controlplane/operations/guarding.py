"""What people may not do without saying why: raise exposure while a gate is closed, in a freeze, or without the approvals."""

import msgspec
from sqlalchemy import Connection

from modelctl.controlplane.automation.conducting import Standing, binding, raise_command
from modelctl.controlplane.automation.standing import look_at
from modelctl.controlplane.operations.change import Author
from modelctl.controlplane.operations.latching import latch
from modelctl.errors import GateNotPassed, InvalidInput
from modelctl.rollout import Rollout, Verb

RAISING = frozenset({Verb.ADVANCE, Verb.PROMOTE})


def pass_barriers(connection: Connection, rollout: Rollout, *, verb: Verb, force: bool, author: Author) -> tuple[str, ...]:
    """The barriers that were passed by force, as sentences; what the look decided is latched first.

    Raises GateNotPassed for a raise that is barred, and InvalidInput for force without a reason. Lowering is never barred.
    """
    if verb not in RAISING:
        return ()
    if force and not author.reason:
        raise InvalidInput(f"say why the {verb} has to be forced: --reason WHY; the history keeps it")
    look = look_at(connection, rollout, at=author.at)
    latch(connection, look, author=author)
    standing = msgspec.structs.replace(look.standing, leap=verb is Verb.PROMOTE)
    barred = binding(standing)
    if barred and not force:
        raise GateNotPassed(_refusal(standing, verb))
    return tuple(block.sentence for block in barred)


def _refusal(standing: Standing, verb: Verb) -> str:
    rollout, barred = standing.rollout, binding(standing)
    forced = f"{raise_command(standing)} --force --reason WHY"
    clears = "".join(f"\n  {command}" for command in dict.fromkeys(block.command for block in barred) if command != forced)
    missing = " ".join(block.sentence for block in barred)
    named = f"rollout {rollout.id} of route {rollout.route!r}"
    return f"cannot {verb} {named} yet: {missing}{clears}\nTo go ahead all the same, say why:\n  {forced}"
