"""What a person does to an open rollout: shown with its consequences and its command, then done by the API."""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

import msgspec
from sqlalchemy import Engine
from starlette.responses import Response

from modelctl.controlplane.api.problems import Problem, Refused, problem
from modelctl.controlplane.automation.conducting import Block, binding
from modelctl.controlplane.automation.standing import look_at
from modelctl.controlplane.dashboard.commanding import command
from modelctl.controlplane.dashboard.outcome import outcome
from modelctl.controlplane.dashboard.visit import Visit, fields_of
from modelctl.controlplane.dashboard.words import command as typed
from modelctl.controlplane.operations.guarding import RAISING
from modelctl.rollout import Rollout, Verb, legal_verbs
from modelctl.store import catalog
from modelctl.store.engine import reading

APPROVE = "approve"
FIELDS = ("reason", "actor", "winner", "force")
DONE: Mapping[str, str] = MappingProxyType(
    {
        "advance": "advanced",
        "promote": "promoted",
        "pause": "paused",
        "resume": "resumed",
        "rollback": "rolled back",
        "complete": "completed",
        APPROVE: "approved",
    }
)


class Chance(msgspec.Struct, frozen=True, kw_only=True):
    """A verb on a rollout as it is now: whether it is legal, and what bars it for a person who does not say why."""

    rollout: Rollout
    verb: str
    legal: bool
    blocks: tuple[Block, ...]


async def show(visit: Visit) -> Response:
    """What the verb would do, and the form that does it."""
    chance = await visit.run(read_chance, visit.id(), verb=_verb(visit), at=visit.at)
    return await _page(visit, chance, fields={"actor": visit.actor, **visit.request.query_params})


async def act(visit: Visit) -> Response:
    """Does it, and goes to the rollout; or shows the form again with what was wrong."""
    verb, fields = _verb(visit), await visit.form()
    chance = await visit.run(read_chance, visit.id(), verb=verb, at=visit.at)
    if needs_revision(verb) and not fields.get("revision"):
        return await _page(visit, chance, fields=fields, wrong=_unseen(chance))
    path = f"/v1/rollouts/{chance.rollout.id}:{verb}"
    revision = fields.get("revision", "") if needs_revision(verb) else ""
    answer = await command(visit, path, fields=fields, body=_body(verb, fields), revision=revision)
    if answer.problem is not None:
        chance = await visit.run(read_chance, visit.id(), verb=verb, at=visit.plane.clock())
        return await _page(visit, chance, fields=fields, wrong=answer.problem)
    told = outcome(f"{DONE[verb]} {chance.rollout.strategy} {chance.rollout.id} on route {chance.rollout.route}", answer.value)
    return visit.done(f"/rollouts/{chance.rollout.id}", told=told, actor=fields.get("actor", ""))


def read_chance(engine: Engine, rollout: int, *, verb: str, at: int) -> Chance:
    """Raises NotFound."""
    with reading(engine) as connection:
        found = catalog.find_rollout(connection, rollout)
        legal = found.open if verb == APPROVE else Verb(verb) in legal_verbs(found)
        blocks: tuple[Block, ...] = ()
        if legal and verb in RAISING:
            standing = look_at(connection, found, at=at).standing
            blocks = binding(msgspec.structs.replace(standing, leap=verb == Verb.PROMOTE))
        return Chance(rollout=found, verb=verb, legal=legal, blocks=blocks)


def needs_revision(verb: str) -> bool:
    """What gives a candidate more is decided on what was seen. Lowering is never held up by somebody else's change."""
    return verb in RAISING


def command_of(chance: Chance, fields: Mapping[str, str]) -> str:
    """What a person types for the same."""
    forced = " --force" if fields.get("force") else ""
    winner = fields.get("winner", "") if chance.verb == Verb.PROMOTE else ""
    return (
        typed(chance.verb, chance.rollout.route, winner=winner) + forced + typed(reason=fields["reason"]).removeprefix("modelctl")
    )


def _body(verb: str, fields: Mapping[str, str]) -> dict[str, Any]:
    winner = {"winner": fields["winner"]} if verb == Verb.PROMOTE and fields.get("winner") else {}
    return winner | ({"force": True} if fields.get("force") and verb in RAISING else {})


async def _page(visit: Visit, chance: Chance, *, fields: Mapping[str, str], wrong: Problem | None = None) -> Response:
    kept = fields_of(fields, *FIELDS)
    return await visit.page(
        "verb.html",
        status=wrong.status if wrong else 200,
        chance=chance,
        rollout=chance.rollout,
        fields=kept,
        wrong=wrong,
        command_line=command_of(chance, kept),
    )


def _unseen(chance: Chance) -> Problem:
    detail = f"say which revision of rollout {chance.rollout.id} you have seen: look at what stands here now, and confirm"
    return problem(HTTPStatus.PRECONDITION_REQUIRED, "revision-required", detail=detail)


def _verb(visit: Visit) -> str:
    verb = str(visit.request.path_params["verb"])
    if verb not in DONE:
        raise Refused(404, f"there is no verb {verb!r}")
    return verb
