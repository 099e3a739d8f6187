"""`advance`, `promote`, `pause`, `resume`, `rollback`, `complete`, `approve`: what a person does to an open rollout."""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer

from modelctl.cli.api import Json, read
from modelctl.cli.command import Session, client
from modelctl.cli.convergence import Convergence
from modelctl.cli.result import tell
from modelctl.cli.routes import RouteRow, address
from modelctl.cli.start import Force, Reason
from modelctl.cli.target import RolloutRow, only_route, open_rollout, required_rollout
from modelctl.errors import InvalidInput, ModelctlError
from modelctl.rollout import Verb

commands = typer.Typer()

Route = Annotated[str, typer.Argument(help="Name of the route; inferred when only one fits.")]


class Done(msgspec.Struct, frozen=True):
    """What the API answers to a verb on a rollout."""

    rollout: RolloutRow
    convergence: Convergence


class Person(msgspec.Struct, frozen=True):
    """Who approved."""

    actor: str


class Wanted(msgspec.Struct, frozen=True):
    """How many people must approve."""

    approvals: int = 0


class Approved(msgspec.Struct, frozen=True):
    """A rollout that somebody approved."""

    id: int
    route: str
    candidates: tuple[str, ...] = ()
    approvals: tuple[Person, ...] = ()
    conduct: Wanted = Wanted()


class PutBack(msgspec.Struct, frozen=True):
    """What the API answers when a route's previous baseline was put back."""

    route: RouteRow
    convergence: Convergence


@client(commands, "advance", examples=("modelctl advance", "modelctl advance fraud --force --reason 'the gate needs a day more'"))
def advance(session: Session, route: Route = "", *, force: Force = False, reason: Reason = "") -> None:
    """Go to the next step of a rollout. It is refused while what the step needs is not proven."""
    _act(session, Verb.ADVANCE, route=route, request={"reason": reason} | _forced(Verb.ADVANCE, force, reason=reason))


@client(
    commands, "promote", examples=("modelctl promote", "modelctl promote fraud --winner fraud-v7 --reason 'better on every metric'")
)
def promote(
    session: Session,
    route: Route = "",
    *,
    winner: Annotated[str, typer.Option(help="Which arm wins; needed when there are several candidates.")] = "",
    force: Force = False,
    reason: Reason = "",
) -> None:
    """Make the candidate the route's baseline: it answers everything. Ends the rollout."""
    named = {"winner": winner} if winner else {}
    _act(session, Verb.PROMOTE, route=route, request={"reason": reason} | named | _forced(Verb.PROMOTE, force, reason=reason))


@client(commands, "pause", examples=("modelctl pause", "modelctl pause fraud --reason 'deploy freeze'"))
def pause(session: Session, route: Route = "", *, reason: Reason = "") -> None:
    """Keep the shares as they are and allow no next step."""
    _act(session, Verb.PAUSE, route=route, request={"reason": reason})


@client(commands, "resume", examples=("modelctl resume", "modelctl resume fraud --reason 'freeze is over'"))
def resume(session: Session, route: Route = "", *, reason: Reason = "") -> None:
    """Let a paused rollout go on."""
    _act(session, Verb.RESUME, route=route, request={"reason": reason})


@client(commands, "complete", examples=("modelctl complete", "modelctl complete fraud --reason 'the question is answered'"))
def complete(session: Session, route: Route = "", *, reason: Reason = "") -> None:
    """End a rollout without a winner: the baseline stays, and nothing was wrong."""
    _act(session, Verb.COMPLETE, route=route, request={"reason": reason})


@client(commands, "approve", examples=("modelctl approve", "modelctl approve fraud --reason 'seen the report'"))
def approve(session: Session, route: Route = "", *, reason: Reason = "") -> None:
    """Agree that a rollout's candidate may get all of the traffic. Whoever started it cannot."""
    found = required_rollout(session, route, command="approve {route}")
    answer = _agree(session, found, reason=reason)
    approved = read(answer, Approved)
    people = ", ".join(one.actor for one in approved.approvals)
    wanted = f"{len(approved.approvals)} of {approved.conduct.approvals} approvals: {people}"
    sentence = (
        f"approved {', '.join(approved.candidates)} on route {approved.route} · {wanted} · next: modelctl status {approved.route}"
    )
    tell(session, answer, name=str(approved.id), sentence=sentence)


@client(
    commands,
    "rollback",
    examples=("modelctl rollback", "modelctl rollback fraud --reason 'errors doubled'"),
    aliases=("abort", "undo"),
)
def rollback(
    session: Session,
    route: Route = "",
    *,
    to: Annotated[int | None, typer.Option(help="Event of `modelctl history` whose baseline to put back.")] = None,
    reason: Reason = "",
) -> None:
    """Give all traffic back to the baseline; without an open rollout, put the previous baseline back."""
    found = None if to is not None else open_rollout(session, route, command="rollback {route}")
    if found:
        _move(session, Verb.ROLLBACK, before=found, request={"reason": reason})
    else:
        name = only_route(session, route, command="rollback {route}")
        _put_back(session, name, request={"reason": reason} | ({} if to is None else {"to": to}))


def _agree(session: Session, rollout: RolloutRow, *, reason: str) -> Json:
    """What the control plane answers to the approval. One that does not count is refused: the command was typed right."""
    try:
        return session.api.post(f"/v1/rollouts/{rollout.id}:approve", {"reason": reason}, revision=rollout.revision)
    except InvalidInput as error:
        raise ModelctlError(str(error)) from error


def _act(session: Session, verb: Verb, *, route: str, request: Mapping[str, Any]) -> None:
    _move(session, verb, before=required_rollout(session, route, command=f"{verb} {{route}}"), request=request)


def _forced(verb: Verb, force: bool, *, reason: str) -> dict[str, Any]:
    if force and not reason:
        raise InvalidInput(f"--force needs the reason, which the history keeps: modelctl {verb} --force --reason WHY")
    return {"force": True} if force else {}


def _move(session: Session, verb: Verb, *, before: RolloutRow, request: Mapping[str, Any]) -> None:
    """Does `verb` to the open rollout. What raises exposure is refused when somebody changed the rollout since it was read."""
    revision = before.revision if verb in (Verb.ADVANCE, Verb.PROMOTE) else None
    answer = session.api.post(f"/v1/rollouts/{before.id}:{verb}", request, revision=revision)
    done = read(answer, Done)
    tell(session, answer, name=str(done.rollout.id), sentence=" · ".join(_told(verb, done)))
    done.convergence.require()


def _put_back(session: Session, route: str, *, request: Mapping[str, Any]) -> None:
    answer = session.api.post(f"{address(route)}:rollback", request)
    done = read(answer, PutBack)
    told = f"put {done.route.baseline} back as the baseline of route {route}"
    tell(session, answer, name=route, sentence=" · ".join([told, *done.convergence.sentences, f"next: modelctl history {route}"]))
    done.convergence.require()


def _told(verb: Verb, done: Done) -> list[str]:
    rollout = done.rollout
    candidates = ", ".join(rollout.candidates)
    sentence = {
        Verb.ADVANCE: f"advanced {candidates} to step {rollout.step + 1} on route {rollout.route}",
        Verb.PROMOTE: f"promoted {rollout.winner} on route {rollout.route}",
        Verb.PAUSE: f"paused {candidates} on route {rollout.route}: the shares stay as they are",
        Verb.RESUME: f"resumed {candidates} on route {rollout.route}",
        Verb.ROLLBACK: f"rolled {candidates} back on route {rollout.route}: {rollout.baseline} answers everything",
        Verb.COMPLETE: f"completed the {rollout.strategy} of {candidates} on route {rollout.route}: {rollout.baseline} stays",
    }[verb]
    return [sentence, *done.convergence.sentences, f"next: modelctl {_NEXT[verb]} {rollout.route}"]


_NEXT: Mapping[Verb, str] = {
    Verb.ADVANCE: "status",
    Verb.PROMOTE: "history",
    Verb.PAUSE: "resume",
    Verb.RESUME: "status",
    Verb.ROLLBACK: "history",
    Verb.COMPLETE: "report",
}
