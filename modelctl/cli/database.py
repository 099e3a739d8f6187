"""`db`: the schema of the store. The store's own program does the work: clients never load a database library."""

import os
import subprocess
import sys

import typer

from modelctl.cli.command import local
from modelctl.cli.processes import Database, DataDir
from modelctl.settings import read_settings

commands = typer.Typer(help="The schema of the database: bring it up to date, or see where it is.", no_args_is_help=True)


@local(commands, "upgrade", examples=("modelctl db upgrade", "modelctl db upgrade --database postgresql://modelctl@db/modelctl"))
def upgrade(*, database: Database = None, data_dir: DataDir = None) -> None:
    """Bring the database's schema up to this version of modelctl. Repeating it changes nothing."""
    _run_schema("upgrade", database=database, data_dir=data_dir)


@local(commands, "current", examples=("modelctl db current", "modelctl db current --data-dir /var/lib/modelctl"))
def current(*, database: Database = None, data_dir: DataDir = None) -> None:
    """Show which version the database's schema has."""
    _run_schema("current", database=database, data_dir=data_dir)


def _run_schema(verb: str, *, database: str | None, data_dir: str | None) -> None:
    url = read_settings(os.environ, {"database": database, "data_dir": data_dir}).database_url
    command = [sys.executable, "-P", "-m", "modelctl.store.schema", verb, "--database", url]
    code = subprocess.run(command, check=False).returncode  # noqa: S603 - this program's own module
    if code:
        raise typer.Exit(code if code > 0 else 1)
