"""Rollouts over HTTP, and their verbs."""

from collections.abc import Awaitable, Callable

import msgspec

from modelctl.controlplane.api.call import Call, Endpoint
from modelctl.controlplane.fleet import Convergence
from modelctl.controlplane.operations.approving import approve_rollout
from modelctl.controlplane.operations.inspecting import read_rollout, read_rollouts
from modelctl.controlplane.operations.moving import Move, move_rollout
from modelctl.controlplane.operations.starting import NewRollout, start_rollout
from modelctl.rollout import Rollout, Verb
from modelctl.store.reading import Page


class RolloutQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rollouts of one route, or of all."""

    route: str | None = None
    limit: int = 100
    cursor: str | None = None


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """The new rollout, what was inferred (in sentences), and where the routers stand."""

    rollout: Rollout
    inferred: tuple[str, ...]
    convergence: Convergence


class VerbBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why and who; `winner` goes with promoting one of several candidates.

    `force` advances or promotes although the gate is not passed, in a freeze or without approvals; it needs the reason.
    """

    reason: str = ""
    actor: str = ""
    winner: str = ""
    force: bool = False


class Approving(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who agrees that the candidate may get all of the traffic, and why."""

    reason: str = ""
    actor: str = ""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """The rollout after the verb, and where the routers stand."""

    rollout: Rollout
    convergence: Convergence


async def list_rollouts(call: Call) -> Page[Rollout]:
    return await call.run(read_rollouts, call.query.route, limit=call.query.limit, cursor=call.query.cursor)


async def create_rollout(call: Call) -> Started:
    change = await call.run(start_rollout, call.body, author=call.author(), salt=call.plane.chance())
    convergence = await call.conclude(change)
    return Started(rollout=change.subject, inferred=change.inferred, convergence=convergence)


async def show_rollout(call: Call) -> Rollout:
    return await call.run(read_rollout, call.request.path_params["id"])


def _mover(verb: Verb) -> Callable[[Call], Awaitable[Moved]]:
    async def move(call: Call) -> Moved:
        wanted = Move(verb=verb, winner=call.body.winner, force=call.body.force)
        rollout = call.request.path_params["id"]
        change = await call.run(move_rollout, rollout, move=wanted, author=call.author(), revision=call.revision())
        return Moved(rollout=change.subject, convergence=await call.conclude(change))

    return move


async def approve(call: Call) -> Rollout:
    return await call.run(approve_rollout, call.request.path_params["id"], author=call.author(), revision=call.revision())


ENDPOINTS = (
    Endpoint(
        method="GET",
        path="/v1/rollouts",
        handle=list_rollouts,
        summary="List rollouts, the newest first",
        query=RolloutQuery,
        answer=Page[Rollout],
    ),
    Endpoint(
        method="POST",
        path="/v1/rollouts",
        handle=create_rollout,
        summary="Start a rollout",
        body=NewRollout,
        answer=Started,
        status=201,
    ),
    *(
        Endpoint(
            method="POST",
            path=f"/v1/rollouts/{{id:int}}:{verb}",
            handle=_mover(verb),
            summary=f"{verb.capitalize()} a rollout",
            body=VerbBody,
            answer=Moved,
        )
        for verb in Verb
    ),
    Endpoint(
        method="POST",
        path="/v1/rollouts/{id:int}:approve",
        handle=approve,
        summary="Agree that a rollout's candidate may get all of the traffic",
        body=Approving,
        answer=Rollout,
    ),
    Endpoint(method="GET", path="/v1/rollouts/{id:int}", handle=show_rollout, summary="Show a rollout", answer=Rollout),
)
