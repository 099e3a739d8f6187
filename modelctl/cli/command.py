"""How a command is registered: its examples, and for commands that talk to a control plane the options all of them share.

`client` gives a function its first argument, an open Session, and gives its command `--url` and `-o`. A parameter that is a
dataclass stands for one option per field, so commands can share a group of them. Only what typer documents is used: the
command's function is one whose signature has those options added.
"""

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from modelctl.cli.api import Api
from modelctl.errors import InvalidInput

DEFAULT_URL = "http://127.0.0.1:8900"
LISTS = ("table", "wide", "json", "yaml", "name")
OBJECTS = ("table", "json", "yaml", "name")
VIEWS = ("table", "json", "yaml")
REPORTS = ("table", "json", "md")

Function = TypeVar("Function", bound=Callable[..., None])


@dataclass(frozen=True)
class Session:
    """What one command works with: the control plane, and the form its data are wanted in."""

    api: Api
    output: str

    @property
    def structured(self) -> bool:
        """Whether a program reads the output."""
        return self.output in ("json", "yaml")


def local(commands: typer.Typer, name: str, *, examples: Sequence[str], hidden: bool = False) -> Callable[[Function], Function]:
    """Registers a command that needs no control plane."""

    def register(function: Function) -> Function:
        commands.command(name, epilog=_epilog(examples), hidden=hidden)(_with_groups(function))
        return function

    return register


def client(
    commands: typer.Typer, name: str, *, examples: Sequence[str], outputs: Sequence[str] = OBJECTS, aliases: Sequence[str] = ()
) -> Callable[[Function], Function]:
    """Registers `function(session, ...)` as a command with the shared options. The first of `outputs` is the default; without any
    there is no `-o`, and `--output` is the command's own."""

    def register(function: Function) -> Function:
        for word in (name, *aliases):
            local(commands, word, examples=examples, hidden=word != name)(_with_shared_options(function, outputs))
        return function

    return register


def _with_shared_options(function: Callable[..., None], outputs: Sequence[str]) -> Callable[..., None]:
    """`function` as typer sees it: without the session, with `--url` and `-o`."""

    own = list(inspect.signature(function).parameters.values())[1:]

    def run(*, url: str, **given: object) -> None:
        output = str(given.pop("output")) if outputs else ""
        if outputs and output not in outputs:
            raise InvalidInput(f"-o {output}: this command knows {', '.join(outputs)}")
        _gather(own, given)
        with Api(url, key=os.environ.get("MODELCTL_KEY", "")) as api:
            function(Session(api, output), **given)

    return _shaped(run, function, parameters=[*(option for one in own for option in _options(one)), *_shared(outputs)])


def _with_groups(function: Callable[..., None]) -> Callable[..., None]:
    """`function` as typer sees it: with the options that its groups stand for."""
    own = list(inspect.signature(function).parameters.values())
    if not any(_group(one.annotation) for one in own):
        return function

    def run(**given: object) -> None:
        _gather(own, given)
        function(**given)

    return _shaped(run, function, parameters=[option for one in own for option in _options(one)])


def _gather(own: Sequence[inspect.Parameter], given: dict[str, object]) -> None:
    """Puts the options of every group together again."""
    for one in own:
        group = _group(one.annotation)
        if group is not None:
            given[one.name] = group(**{field.name: given.pop(field.name) for field in fields(group)})


def _shaped(
    run: Callable[..., None], function: Callable[..., None], *, parameters: Sequence[inspect.Parameter]
) -> Callable[..., None]:
    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def _shared(outputs: Sequence[str]) -> list[inspect.Parameter]:
    url = _option("url", Annotated[str, _URL], default=DEFAULT_URL)
    if not outputs:
        return [url]
    form = typer.Option("--output", "-o", help=f"One of: {', '.join(outputs)}.")
    return [url, _option("output", Annotated[str, form], default=outputs[0])]


_URL = typer.Option("--url", envvar="MODELCTL_URL", help="Where the control plane is.")


def _options(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """The parameter, or the options that its group stands for."""
    group = _group(parameter.annotation)
    if group is None:
        return [parameter]
    hints = get_type_hints(group, include_extras=True)
    return [_option(field.name, hints[field.name], default=field.default) for field in fields(group)]


def _group(annotation: object) -> type[Any] | None:
    return annotation if isinstance(annotation, type) and is_dataclass(annotation) else None


def _option(name: str, annotation: object, *, default: object) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=annotation, default=default)


def _epilog(examples: Sequence[str]) -> str:
    """Typer keeps what stands between empty lines on its own line."""
    return "\n\n".join(["Examples:", *(f"$ {example}" for example in examples)])
