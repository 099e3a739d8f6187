"""`canary`, `shadow`, `blue-green`, `ab`: open a rollout."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
import typer

from modelctl.cli.api import read
from modelctl.cli.command import Session, client
from modelctl.cli.convergence import Convergence
from modelctl.cli.quantities import basis_points, ladder, shares
from modelctl.cli.result import tell
from modelctl.cli.target import RolloutRow, route_and_candidates
from modelctl.errors import InvalidInput

commands = typer.Typer()

Words = Annotated[list[str] | None, typer.Argument(metavar="[ROUTE] [CANDIDATE]", help="Inferred when there is only one.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; the history keeps it.")]
START = "Start a rollout"


class Started(msgspec.Struct, frozen=True):
    """What the API answers to a rollout that was opened."""

    rollout: RolloutRow
    convergence: Convergence
    inferred: tuple[str, ...] = ()


@client(commands, "canary", examples=("modelctl canary --percent 5", "modelctl canary fraud fraud-v7 --percent 5 --steps 5,25,50"))
def canary(
    session: Session,
    words: Words = None,
    *,
    percent: Annotated[str, typer.Option(help="Share the candidate answers: 5, 5% or 0.1%.", show_default=False)],
    steps: Annotated[str, typer.Option(help="Later shares, such as 5,25,50; `advance` goes to the next.")] = "",
    shadow_percent: Annotated[str, typer.Option(help="Share of the rest that the candidate is shown as well.")] = "",
    reason: Reason = "",
) -> None:
    """Let a candidate answer a share of the requests."""
    parameters: dict[str, Any] = {"percent_bp": basis_points(percent)}
    options = f"--percent {percent}"
    if steps:
        parameters["steps_bp"] = ladder(steps)
        options += f" --steps {steps}"
    if shadow_percent:
        parameters["shadow_bp"] = basis_points(shadow_percent)
        options += f" --shadow-percent {shadow_percent}"
    request = {"strategy": "canary", "parameters": parameters, "reason": reason}
    _start(session, request, words=_at_most(2, words, command="canary"), command=f"canary {{words}} {options}")


@client(
    commands, "shadow", examples=("modelctl shadow --percent 100", "modelctl shadow fraud fraud-v7 --percent 20 --max-inflight 16")
)
def shadow(
    session: Session,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[ROUTE] [CANDIDATE...]", help="Inferred when there is only one.")
    ] = None,
    *,
    percent: Annotated[str, typer.Option(help="Share of the requests that the candidates are shown.")] = "100",
    max_inflight: Annotated[int | None, typer.Option(help="Most shown requests at a time; more are skipped and counted.")] = None,
    reason: Reason = "",
) -> None:
    """Show candidates a share of the requests. Clients never get their answers."""
    parameters: dict[str, Any] = {"percent_bp": basis_points(percent)}
    options = f"--percent {percent}"
    if max_inflight is not None:
        parameters["max_inflight"] = max_inflight
        options += f" --max-inflight {max_inflight}"
    request = {"strategy": "shadow", "parameters": parameters, "reason": reason}
    _start(session, request, words=words or [], command=f"shadow {{words}} {options}")


@client(commands, "blue-green", examples=("modelctl blue-green", "modelctl blue-green fraud fraud-v7 --reason 'new features'"))
def blue_green(session: Session, words: Words = None, *, reason: Reason = "") -> None:
    """Open a preview address for a candidate; `advance` then gives it all the traffic at once."""
    request = {"strategy": "blue-green", "parameters": {}, "reason": reason}
    _start(session, request, words=_at_most(2, words, command="blue-green"), command="blue-green {words}")


@client(commands, "ab", examples=("modelctl ab fraud-v6=50 fraud-v7=50", "modelctl ab fraud a=50 b=30 c=20 --reason 'new ranking'"))
def ab(
    session: Session,
    words: Annotated[
        list[str], typer.Argument(metavar="[ROUTE] A=50 B=50...", help="Each arm with its share.", show_default=False)
    ],
    *,
    reason: Reason = "",
) -> None:
    """Split the requests between two or more backends. The baseline is one of them."""
    route, parts = (None, words) if "=" in words[0] else (words[0], words[1:])
    if len(parts) < 2:
        raise InvalidInput("an A/B test needs two arms or more, each with its share: modelctl ab fraud-v6=50 fraud-v7=50")
    request = {"strategy": "ab", "parameters": {"shares_bp": shares(parts)}, "reason": reason}
    _open(session, request | {"route": route, "candidates": []})


def _at_most(most: int, words: Sequence[str] | None, *, command: str) -> list[str]:
    if words and len(words) > most:
        raise InvalidInput(f"{command} takes a route and one candidate, not {len(words)} words: {' '.join(words)}")
    return list(words or [])


def _start(session: Session, request: Mapping[str, Any], *, words: Sequence[str], command: str) -> None:
    route, candidates = route_and_candidates(session, words, command=command)
    _open(session, {**request, "route": route, "candidates": candidates})


def _open(session: Session, request: Mapping[str, Any]) -> None:
    answer = session.api.post("/v1/rollouts", request)
    started = read(answer, Started)
    tell(session, answer, name=str(started.rollout.id), sentence=" · ".join(_told(started)))
    started.convergence.require()


def _told(started: Started) -> list[str]:
    rollout = started.rollout
    candidates = ", ".join(rollout.candidates)
    verb = "changed" if rollout.revision > 1 else "started"
    return [
        f"{verb} {rollout.strategy} of {candidates} on route {rollout.route} (rollout {rollout.id}, baseline {rollout.baseline})",
        *started.inferred,
        *started.convergence.sentences,
        f"next: modelctl status {rollout.route} -w",
    ]
