"""What people may not do without saying why: raise exposure while a gate is closed, in a freeze, or without the approvals."""

import msgspec
from sqlalchemy import Connection

from modelctl.controlplane.conducting import Block, binding
from modelctl.controlplane.latching import latch
from modelctl.controlplane.operations.change import Author
from modelctl.controlplane.standing import look_at
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
    barred = binding(msgspec.structs.replace(look.standing, leap=verb is Verb.PROMOTE))
    if barred and not force:
        raise GateNotPassed(_refusal(rollout, verb, barred=barred))
    return tuple(block.sentence for block in barred)


def _refusal(rollout: Rollout, verb: Verb, *, barred: tuple[Block, ...]) -> str:
    missing = " ".join(block.sentence for block in barred)
    commands = dict.fromkeys((*(block.command for block in barred), f"modelctl {verb} {rollout.route} --force --reason WHY"))
    return f"cannot {verb} rollout {rollout.id} of route {rollout.route!r} yet: {missing} To go ahead all the same, say why:\n" + (
        "\n".join(f"  {command}" for command in commands)
    )
