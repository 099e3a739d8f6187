"""The commands that become a process of modelctl: settings are checked here, then this program is replaced.

Settings travel as MODELCTL_* variables of the environment, so a secret never stands in a list of processes.
"""

import os
import sys
from collections.abc import Mapping
from typing import Annotated, NoReturn

import typer

from modelctl.cli.api import checked_url
from modelctl.cli.command import local
from modelctl.settings import PREFIX, read_settings

commands = typer.Typer()

DataDir = Annotated[str | None, typer.Option("--data-dir", help="Folder for the database, the spool and the last table.")]
Listen = Annotated[str | None, typer.Option("--listen", help="HOST:PORT or unix:/PATH that clients of the models use.")]
Control = Annotated[str | None, typer.Option("--control", help="HOST:PORT of the control API.")]
Workers = Annotated[str | None, typer.Option("--workers", help="How many router processes.")]
Database = Annotated[str | None, typer.Option("--database", help="sqlite:/// or postgresql:// URL of the store.")]


@local(
    commands, "serve", examples=("modelctl serve", "modelctl serve --listen 0.0.0.0:8080 --workers 2 --data-dir /var/lib/modelctl")
)
def serve(
    *, data_dir: DataDir = None, listen: Listen = None, control: Control = None, workers: Workers = None, database: Database = None
) -> None:
    """Run everything on one machine: the router for clients, the control plane and the recorder."""
    options = {"data_dir": data_dir, "listen": listen, "control": control, "workers": workers, "database": database}
    become("modelctl.supervisor", options)


@local(
    commands,
    "router",
    examples=(
        "modelctl router --control http://10.0.0.5:8900",
        "modelctl router --control https://control.example --listen 0.0.0.0:8080",
    ),
)
def router(
    *,
    control: Annotated[str, typer.Option("--control", help="URL of the control plane.")] = "http://127.0.0.1:8900",
    listen: Listen = None,
    workers: Workers = None,
    data_dir: DataDir = None,
) -> None:
    """Run the router alone, with a control plane elsewhere."""
    options = {"data_dir": data_dir, "listen": listen, "workers": workers}
    become("modelctl.supervisor", options, arguments=["--only", "router", "--control-url", checked_url(control)])


@local(
    commands,
    "recorder",
    examples=("modelctl recorder --data-dir /var/lib/modelctl", "modelctl recorder --database postgresql://modelctl@db/modelctl"),
)
def recorder(*, data_dir: DataDir = None, database: Database = None) -> None:
    """Run the recorder alone: it moves the spool of this machine's routers into the database."""
    part = "tracing" if os.environ.get("MODELCTL_OTLP_ENDPOINT") else "recorder"
    become(f"modelctl.{part}", {"data_dir": data_dir, "database": database})


@local(
    commands,
    "controlplane",
    examples=(
        "modelctl controlplane --control 127.0.0.1:8900",
        "modelctl controlplane --database postgresql://modelctl@db/modelctl",
    ),
)
def controlplane(*, control: Control = None, data_dir: DataDir = None, database: Database = None) -> None:
    """Run the control plane alone, for routers on other machines."""
    become("modelctl.controlplane", {"control": control, "data_dir": data_dir, "database": database})


def become(module: str, options: Mapping[str, str | None], *, arguments: list[str] | None = None) -> NoReturn:
    """Replaces this program by `python -m module`. Raises InvalidSettings first when a setting is wrong."""
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-P", "-m", module, *(arguments or [])], environment_for(options))  # noqa: S606


def environment_for(options: Mapping[str, str | None]) -> dict[str, str]:
    """This program's environment with `options` in it as variables. Raises InvalidSettings, all faults at once."""
    read_settings(os.environ, options)
    given = {PREFIX + name.upper(): text for name, text in options.items() if text is not None}
    return {**os.environ, **given}
