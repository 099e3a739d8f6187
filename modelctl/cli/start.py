"""`canary`, `shadow`, `blue-green`, `ab`: open a rollout."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Annotated, Any

import msgspec
import typer

from modelctl.cli.api import read
from modelctl.cli.command import Session, client
from modelctl.cli.conduct_options import ConductOptions
from modelctl.cli.convergence import Convergence
from modelctl.cli.quantities import shares
from modelctl.cli.result import tell
from modelctl.cli.shadow_options import ShadowOptions
from modelctl.cli.steps import BlueGreenOptions, CanaryOptions
from modelctl.cli.target import RolloutRow, route_and_candidates
from modelctl.cli.wizard import complete
from modelctl.errors import InvalidInput

commands = typer.Typer()

Words = Annotated[list[str] | None, typer.Argument(metavar="[ROUTE] [CANDIDATE]", help="Inferred when there is only one.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; the history keeps it.")]
Force = Annotated[bool, typer.Option("--force", help="Although its gate is not passed, or in a freeze; needs --reason.")]
START = "Start a rollout"


@dataclass(frozen=True, kw_only=True)
class Why:
    """The reason, and whether it is one to pass by a closed gate."""

    force: Force = False
    reason: Reason = ""

    def fields(self) -> dict[str, Any]:
        """The fields of the API. Raises InvalidInput for force without a reason."""
        if self.force and not self.reason:
            raise InvalidInput("--force needs the reason, which the history keeps: repeat the command with --reason WHY")
        return {"reason": self.reason} | ({"force": True} if self.force else {})


class Started(msgspec.Struct, frozen=True):
    """What the API answers to a rollout that was opened."""

    rollout: RolloutRow
    convergence: Convergence
    inferred: tuple[str, ...] = ()


@client(
    commands,
    "canary",
    examples=(
        "modelctl canary --percent 5",
        "modelctl canary fraud --steps 1,5,20!,50 --bake 10m --mode auto --max-n 200000 --gate error_rate:guardrail:margin=0.5pt",
    ),
)
def canary(
    session: Session,
    words: Words = None,
    *,
    given: CanaryOptions,
    conduct: ConductOptions,
    why: Why,
) -> None:
    """Let a candidate answer a share of the requests."""
    order = _of_one("canary", words, own=given, conduct=conduct)
    _start(session, order, why=why)


@client(
    commands,
    "shadow",
    examples=(
        "modelctl shadow --percent 100",
        "modelctl shadow fraud fraud-v7 --percent 20 --for 7d --noise-control 5 --gate agreement:guardrail:limit=95%",
    ),
)
def shadow(
    session: Session,
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[ROUTE] [CANDIDATE...]", help="Inferred when there is only one.")
    ] = None,
    *,
    shown: ShadowOptions,
    conduct: ConductOptions,
    reason: Reason = "",
) -> None:
    """Show candidates a share of the requests. Clients never get their answers."""
    order = Order("shadow", parameters=shown.parameters(), words=words or [], options=shown.words(), conduct=conduct)
    _start(session, order, why=Why(reason=reason))


@client(
    commands,
    "blue-green",
    examples=(
        "modelctl blue-green",
        "modelctl blue-green fraud fraud-v7 --shadow-percent 20 --bake 30m --gate error_rate:guardrail:limit=1%",
    ),
)
def blue_green(
    session: Session,
    words: Words = None,
    *,
    before: BlueGreenOptions,
    conduct: ConductOptions,
    why: Why,
) -> None:
    """Open a preview address for a candidate; `advance` then gives it all the traffic at once."""
    order = _of_one("blue-green", words, own=before, conduct=conduct)
    _start(session, order, why=why)


@client(
    commands,
    "ab",
    examples=(
        "modelctl ab fraud-v6=50 fraud-v7=50",
        "modelctl ab fraud a=50 b=30 c=20 --gate reward:success:mde=0.1 --max-time 14d",
    ),
)
def ab(
    session: Session,
    words: Annotated[
        list[str], typer.Argument(metavar="[ROUTE] A=50 B=50...", help="Each arm with its share.", show_default=False)
    ],
    *,
    conduct: ConductOptions,
    why: Why,
) -> None:
    """Split the requests between two or more backends. The baseline is one of them."""
    route, parts = (None, words) if "=" in words[0] else (words[0], words[1:])
    if len(parts) < 2:
        raise InvalidInput("an A/B test needs two arms or more, each with its share: modelctl ab fraud-v6=50 fraud-v7=50")
    order = Order("ab", parameters={"shares_bp": shares(parts)}, words=words, options="", conduct=conduct)
    _open(session, order, why=why, target={"route": route, "candidates": []})


@dataclass(frozen=True)
class Order:
    """What was typed: a strategy, its parameters, the words behind it, and its own options as they stood there."""

    strategy: str
    _: KW_ONLY
    parameters: Mapping[str, Any]
    words: Sequence[str]
    options: str
    conduct: ConductOptions

    @property
    def command(self) -> str:
        """The command with `{words}` for its words."""
        return f"{self.strategy} {{words}}{self.options}{self.conduct.words()}"


def _of_one(strategy: str, words: Sequence[str] | None, *, own: CanaryOptions | BlueGreenOptions, conduct: ConductOptions) -> Order:
    """What was typed for a strategy with one candidate. Raises InvalidInput."""
    given = list(words or [])
    if len(given) > 2:
        raise InvalidInput(f"{strategy} takes a route and one candidate, not {len(given)} words: {' '.join(given)}")
    return Order(strategy, parameters=own.parameters(), words=given, options=own.words(), conduct=conduct)


def _start(session: Session, order: Order, *, why: Why) -> None:
    route, candidates = route_and_candidates(session, order.words, command=order.command)
    _open(session, order, why=why, target={"route": route, "candidates": candidates})


def _open(session: Session, order: Order, *, why: Why, target: Mapping[str, Any]) -> None:
    request = {"strategy": order.strategy, "parameters": order.parameters, **why.fields(), **target} | order.conduct.fields()
    words = " ".join(order.words)
    request = complete(session, request, command=order.command.replace(" {words}", f" {words}" if words else ""))
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
