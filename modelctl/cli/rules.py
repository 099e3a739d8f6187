"""`rule`: requests that go to a named arm of an open rollout because of what they are, past the split."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import typer

from modelctl.cli.api import read
from modelctl.cli.command import LISTS, Session, client
from modelctl.cli.convergence import Convergence
from modelctl.cli.feedback import plain_value
from modelctl.cli.fields import plain
from modelctl.cli.result import Listing, show_listing, tell
from modelctl.cli.start import Reason
from modelctl.cli.target import RolloutRow, required_rollout
from modelctl.errors import InvalidInput

commands = typer.Typer(
    help="Requests that go to a named arm because of what they are; they are in no comparison.", no_args_is_help=True
)

RouteName = Annotated[str, typer.Argument(metavar="ROUTE", help="Name of the route, such as fraud.", show_default=False)]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The rule's own name, such as testers.", show_default=False)]


class Rule(msgspec.Struct, frozen=True):
    """A rule as the control plane knows it. `equals` None is anything."""

    name: str
    arm: str
    source: str
    place: str
    equals: str | float | bool | None = None


class Ruled(msgspec.Struct, frozen=True):
    """An open rollout with its rules."""

    rules: tuple[Rule, ...] = ()


class Changed(msgspec.Struct, frozen=True):
    """What the API answers to a change of the rules."""

    rollout: RolloutRow
    convergence: Convergence


@dataclass(frozen=True, kw_only=True)
class Match:
    """What a request must have, one of the three, and the rule's place; None for what was not given."""

    header: Annotated[str | None, typer.Option(metavar="NAME[=VALUE]", help="A header: x-tester, or x-tester=yes.")] = None
    path: Annotated[str | None, typer.Option(help="A path below the route's own: /beta.")] = None
    request: Annotated[
        str | None, typer.Option(metavar="PLACE[=VALUE]", help="A value in the request's JSON body: /user/plan=gold.")
    ] = None

    first: Annotated[bool, typer.Option("--first", help="Before the other rules; the first that matches counts.")] = False

    def fields(self) -> dict[str, Any]:
        """The fields of a rule. Raises InvalidInput unless one was given."""
        given = [(source, text) for source in ("header", "path", "request") if (text := getattr(self, source)) is not None]
        if len(given) != 1:
            raise InvalidInput(
                "say what a request must have, once: --header x-tester=yes, --path /beta or --request /user/plan=gold"
            )
        ((source, text),) = given
        place, equals, value = (text, "", "") if source == "path" else text.partition("=")
        found: dict[str, Any] = {"source": source, "place": place.lower() if source == "header" else place}
        if not equals:
            return found
        return found | {"equals": value if source == "header" else _json_value(value)}


@client(
    commands,
    "add",
    examples=(
        "modelctl rule add fraud testers --header x-tester=yes --arm fraud-v7",
        "modelctl rule add fraud gold --request /user/plan=gold --arm fraud-v7 --first",
    ),
)
def add(
    session: Session,
    route: RouteName,
    *,
    name: Name,
    arm: Annotated[str, typer.Option(help="The backend of the rollout that answers them.", show_default=False)],
    match: Match,
    reason: Reason = "",
) -> None:
    """Send matching requests of an open rollout to one of its arms. Nobody drew them, so they are in no comparison."""
    body: dict[str, Any] = {"rule": {"name": name, "arm": arm} | match.fields(), "reason": reason} | (
        {"at": 0} if match.first else {}
    )
    _change(session, route, verb="add-rule", body=body, said=f"requests of rule {name} on route {route} go to {arm}", name=name)


@client(commands, "list", examples=("modelctl rule list fraud", "modelctl rule list fraud -o json"), outputs=LISTS)
def list_(session: Session, route: RouteName) -> None:
    """List the rules of a route's open rollout, in the order in which they are tried."""
    found = required_rollout(session, route, command="rule list {route}")
    rules = read(session.api.get(f"/v1/rollouts/{found.id}"), Ruled).rules
    listing = Listing(
        names=[rule.name for rule in rules],
        columns=("NAME", "ARM", "SOURCE", "PLACE", "EQUALS"),
        more=(),
        rows=[
            [rule.name, rule.arm, rule.source, rule.place, "anything" if rule.equals is None else plain(rule.equals)]
            for rule in rules
        ],
    )
    show_listing(session, {"items": msgspec.to_builtins(rules)}, listing=listing)


@client(
    commands,
    "remove",
    examples=("modelctl rule remove fraud testers", "modelctl rule remove fraud testers --reason 'tests are over'"),
)
def remove(session: Session, route: RouteName, *, name: Name, reason: Reason = "") -> None:
    """Take a rule away: its requests are drawn like all others."""
    body = {"name": name, "reason": reason}
    _change(session, route, verb="remove-rule", body=body, said=f"removed rule {name} of route {route}", name=name)


def _change(session: Session, route: str, *, verb: str, body: dict[str, Any], said: str, name: str) -> None:
    found = required_rollout(session, route, command=f"rule {verb.partition('-')[0]} {{route}}")
    answer = session.api.post(f"/v1/rollouts/{found.id}:{verb}", body, revision=found.revision)
    done = read(answer, Changed)
    tell(session, answer, name=name, sentence=" · ".join([said, *done.convergence.sentences]))
    done.convergence.require()


def _json_value(text: str) -> str | float | bool:
    """`true` and numbers as JSON reads them, else the text itself."""
    return {"true": True, "false": False}.get(text, plain_value(text))
