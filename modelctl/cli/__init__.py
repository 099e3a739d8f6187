"""The hands: one program, `modelctl`, that talks to the control plane over HTTP and starts processes by their entry points.

`exits` says what an exit code means, `command` how a command is registered, and every other module holds the commands of
one noun or what they look like in a terminal.
"""

from collections.abc import Sequence
from typing import Annotated

import typer

from modelctl import __version__
from modelctl.cli import (
    backends,
    database,
    decisions,
    demo,
    doctor,
    export,
    feedback,
    freezes,
    import_,
    plan,
    predictions,
    processes,
    quarantine,
    records,
    replay,
    report,
    route_dimensions,
    route_keys,
    route_metrics,
    routes,
    rules,
    start,
    status,
    verbs,
    verify,
)
from modelctl.cli.command import local
from modelctl.cli.exits import EXPECTED, Exit, rule_for
from modelctl.cli.output import note, say
from modelctl.errors import InvalidSettings

app = typer.Typer(
    name="modelctl",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        say(f"modelctl {__version__}")
        raise typer.Exit


@app.callback(epilog="Examples:\n\n$ modelctl demo\n\n$ modelctl status -w")
def _modelctl(
    *, version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")] = False
) -> None:
    """Roll out ML models with evidence: shadow, canary, blue-green and A/B."""


@local(app, "version", examples=("modelctl version", "modelctl --version"))
def _version() -> None:
    """Show the version of this program."""
    _show_version(True)


for _part in (processes, demo, doctor):
    app.add_typer(_part.commands)
app.add_typer(backends.commands, name="backend")
routes.commands.add_typer(route_keys.commands, name="key")
routes.commands.add_typer(route_metrics.commands, name="metric")
routes.commands.add_typer(route_dimensions.commands, name="dimension")
app.add_typer(routes.commands, name="route")
for _part in (plan, start, status, report, verbs, verify, records, predictions, export, import_, replay):
    app.add_typer(_part.commands)
app.add_typer(decisions.commands, name="decision")
app.add_typer(rules.commands, name="rule")
app.add_typer(freezes.commands, name="freeze")
app.add_typer(feedback.commands, name="feedback")
app.add_typer(quarantine.commands, name="evidence")
app.add_typer(database.commands, name="db")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code. What is expected to go wrong is one sentence on stderr."""
    try:
        app(arguments, prog_name="modelctl")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.REFUSED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except EXPECTED as error:
        return _tell(error)
    return Exit.DONE


def _tell(error: Exception) -> Exit:
    rule = rule_for(error)
    faults = error.faults if isinstance(error, InvalidSettings) else (str(error) or type(error).__name__,)
    for fault in faults:
        note(f"error: {fault}")
    if rule.hint:
        note(f"hint: {rule.hint}")
    return rule.exit
