"""The options of every command that starts or plans a rollout: what it must prove, and how it is run."""

import shlex
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from modelctl.cli.quantities import basis_points, whole_milliseconds
from modelctl.conduct import AtEnd, Engine, Mode
from modelctl.errors import InvalidInput

_CANDIDATE = "units of the candidates and pairs"


@dataclass(frozen=True, kw_only=True)
class ConductOptions:
    """What was given; None and False for what was not."""

    gate: Annotated[
        list[str] | None,
        typer.Option(metavar="METRIC:ROLE:...", help="What it must prove; see the example; repeatable."),
    ] = None
    mode: Annotated[Mode | None, typer.Option(help="advise: a person moves it; auto: passed gates do.")] = None
    manual: Annotated[bool, typer.Option("--manual", help="The same as --mode advise.")] = False
    bake: Annotated[str | None, typer.Option(metavar="TIME", help="How long each step lasts at least, such as 10m.")] = None
    min_n: Annotated[int | None, typer.Option(min=1, help=f"No promotion before so many {_CANDIDATE}.")] = None
    max_n: Annotated[int | None, typer.Option(min=1, help=f"Inconclusive after so many {_CANDIDATE}.")] = None
    min_time: Annotated[str | None, typer.Option(metavar="TIME", help="No promotion before, such as 1h.")] = None
    max_time: Annotated[str | None, typer.Option(metavar="TIME", help="Inconclusive after, such as 7d.")] = None
    for_: Annotated[str | None, typer.Option("--for", metavar="TIME", help="It is over after, such as 7d.")] = None
    max_shown: Annotated[int | None, typer.Option(min=1, help="Most requests the candidates are shown; then it is over.")] = None
    watch: Annotated[
        str | None, typer.Option(metavar="TIME", help="How long a promotion may still be taken back by itself, such as 1d.")
    ] = None
    approvals: Annotated[int | None, typer.Option(min=0, help="Other people who must approve before all traffic moves.")] = None
    ceiling: Annotated[str | None, typer.Option(metavar="PERCENT", help="Largest share that automation raises to.")] = None
    at_end: Annotated[AtEnd | None, typer.Option(help="What becomes of it when it is inconclusive, in mode auto.")] = None
    engine: Annotated[
        Engine | None, typer.Option(help="anytime: valid at every look; gst: planned looks up to --max-n; fixed: one look there.")
    ] = None
    looks: Annotated[int | None, typer.Option(min=1, max=100, help="Planned looks of --engine gst.")] = None

    def fields(self) -> dict[str, Any]:
        """`gates` and `conduct` of the API, each only when something of it was given. Raises InvalidInput."""
        conduct = self.conduct()
        return ({"gates": list(self.gate)} if self.gate else {}) | ({"conduct": conduct} if conduct else {})

    def conduct(self) -> dict[str, Any]:
        """The fields of the conduct that were given."""
        if self.manual and self.mode is Mode.AUTO:
            raise InvalidInput("--manual is --mode advise and contradicts --mode auto: give one of them")
        plain = {
            "mode": Mode.ADVISE if self.manual else self.mode,
            "engine": self.engine,
            "looks": self.looks,
            "min_n": self.min_n,
            "max_n": self.max_n,
            "max_shown": self.max_shown,
            "approvals": self.approvals,
            "at_end": self.at_end,
            "ceiling_bp": None if self.ceiling is None else basis_points(self.ceiling),
        }
        times = {
            "bake_ms": self.bake,
            "min_ms": self.min_time,
            "max_ms": self.max_time,
            "for_ms": self.for_,
            "watch_ms": self.watch,
        }
        given = {name: value for name, value in plain.items() if value is not None}
        return given | {name: whole_milliseconds(text) for name, text in times.items() if text is not None}

    def words(self) -> str:
        """The options as they were typed, with a space before each."""
        typed = [("gate", gate) for gate in self.gate or ()]
        typed += [(name.rstrip("_").replace("_", "-"), getattr(self, name)) for name in _ONCE]
        words = [f" --{name} {shlex.quote(str(value))}" for name, value in typed if value is not None]
        return "".join(words) + (" --manual" if self.manual else "")


_ONCE = (
    *("mode", "bake", "min_n", "max_n", "min_time", "max_time", "for_", "max_shown", "watch", "approvals", "ceiling", "at_end"),
    *("engine", "looks"),
)
