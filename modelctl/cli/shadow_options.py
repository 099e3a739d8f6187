"""The options of `shadow`: how much candidates are shown, and how the baseline's own noise is measured."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from modelctl.cli.quantities import basis_points


@dataclass(frozen=True, kw_only=True)
class ShadowOptions:
    """What was given; None for what was not."""

    percent: Annotated[str, typer.Option(help="Share of the requests that the candidates are shown.")] = "100"
    max_inflight: Annotated[int | None, typer.Option(help="Most shown requests at a time; more are skipped and counted.")] = None
    noise_control: Annotated[
        str | None, typer.Option(metavar="PERCENT", help="Share of what is shown that the baseline is asked again: its own noise.")
    ] = None

    def parameters(self) -> dict[str, Any]:
        """The parameters of the strategy. Raises InvalidInput."""
        found: dict[str, Any] = {"percent_bp": basis_points(self.percent)}
        if self.max_inflight is not None:
            found["max_inflight"] = self.max_inflight
        return found if self.noise_control is None else found | {"noise_bp": basis_points(self.noise_control)}

    def words(self) -> str:
        """The options as they were typed, with a space before each."""
        given = (("percent", self.percent), ("max-inflight", self.max_inflight), ("noise-control", self.noise_control))
        return "".join(f" --{name} {value}" for name, value in given if value is not None)
