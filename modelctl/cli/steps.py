"""The ladder of a canary as it is typed: `5,20!,50`, where `!` keeps automation from going on by itself."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from modelctl.cli.quantities import basis_points
from modelctl.errors import InvalidInput
from modelctl.quantity import rungs


def read_steps(percent: str | None, steps: str | None, *, command: str) -> dict[str, Any]:
    """The parameters of the ladder. Without a percent the first step is it. Raises InvalidInput."""
    found = rungs(percent, steps)
    if not found:
        raise InvalidInput(f"say how much: modelctl {command} --percent 5, or a ladder: modelctl {command} --steps 1,5,20,50")
    return found


@dataclass(frozen=True, kw_only=True)
class CanaryOptions:
    """What was given; None for what was not."""

    percent: Annotated[str | None, typer.Option(help="Share the candidate answers: 5, 5% or 0.1%.")] = None
    steps: Annotated[
        str | None, typer.Option(help="Later shares, such as 5,20!,50; behind a `!` only a person goes on, with `advance`.")
    ] = None
    shadow_percent: Annotated[str | None, typer.Option(help="Share of the rest that the candidate is shown as well.")] = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of the strategy. Raises InvalidInput."""
        found = read_steps(self.percent, self.steps, command="canary")
        return found if self.shadow_percent is None else found | {"shadow_bp": basis_points(self.shadow_percent)}

    def words(self) -> str:
        """The options as they were typed, with a space before each."""
        return typed(percent=self.percent, steps=self.steps, shadow_percent=self.shadow_percent)


@dataclass(frozen=True, kw_only=True)
class BlueGreenOptions:
    """What green gets before the switch; None for what was not given."""

    percent: Annotated[str | None, typer.Option(help="Share of the requests that green answers before the switch.")] = None
    shadow_percent: Annotated[str | None, typer.Option(help="Share of the rest that green is shown before the switch.")] = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of the strategy. Raises InvalidInput."""
        given = {"percent_bp": self.percent, "shadow_bp": self.shadow_percent}
        return {name: basis_points(text) for name, text in given.items() if text is not None}

    def words(self) -> str:
        """The options as they were typed, with a space before each."""
        return typed(percent=self.percent, shadow_percent=self.shadow_percent)


def typed(**options: str | None) -> str:
    """Options as they were typed, with a space before each."""
    return "".join(f" --{name.replace('_', '-')} {value}" for name, value in options.items() if value is not None)
