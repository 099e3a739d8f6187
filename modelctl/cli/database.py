"""`db`: the schema of the store, and what of it may go. The store's own programs do the work: clients load no database library."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from modelctl.cli.command import local
from modelctl.cli.confirm import Yes, confirmed
from modelctl.cli.patience import ran
from modelctl.cli.processes import Database, DataDir
from modelctl.cli.quantities import seconds, size
from modelctl.errors import InvalidInput
from modelctl.settings import read_settings

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would go, and take nothing.")]

_DOING: Mapping[str, str] = {
    "schema": "reading or bringing up the schema",
    "checking": "checking the database",
    "backup": "copying the database",
    "pruning": "looking for what may go, and taking it",
}

commands = typer.Typer(help="The database: its schema, and what of the evidence is kept.", no_args_is_help=True)


@local(commands, "upgrade", examples=("modelctl db upgrade", "modelctl db upgrade --database postgresql://modelctl@db/modelctl"))
def upgrade(*, database: Database = None, data_dir: DataDir = None) -> None:
    """Bring the database's schema up to this version of modelctl. Repeating it changes nothing."""
    _run_schema("upgrade", database=database, data_dir=data_dir)


@local(commands, "current", examples=("modelctl db current", "modelctl db current --data-dir /var/lib/modelctl"))
def current(*, database: Database = None, data_dir: DataDir = None) -> None:
    """Show which version the database's schema has."""
    _run_schema("current", database=database, data_dir=data_dir)


@local(commands, "check", examples=("modelctl db check", "modelctl db check --database postgresql://modelctl@db/modelctl"))
def check(*, database: Database = None, data_dir: DataDir = None) -> None:
    """Check the database: its schema, its file, what rows refer to, the counts of spools, the sums. Changes nothing."""
    _run("checking", database=database, data_dir=data_dir)


@local(
    commands,
    "backup",
    examples=("modelctl db backup evidence.db", "modelctl db backup /mnt/$(date +%F).db --data-dir /var/lib/modelctl"),
)
def backup(
    file: Annotated[str, typer.Argument(help="The new file.", show_default=False)],
    *,
    database: Database = None,
    data_dir: DataDir = None,
) -> None:
    """Copy a SQLite database while everything runs. For PostgreSQL use pg_dump."""
    _run("backup", file, database=database, data_dir=data_dir)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may stay; None for no limit."""

    older_than: Annotated[str | None, typer.Option(metavar="TIME", help="In place of the routes' own --keep, such as 30d.")] = None
    max_size: Annotated[str | None, typer.Option(metavar="SIZE", help="Take the oldest until it fits, such as 10GiB.")] = None
    route: Annotated[str | None, typer.Option(metavar="NAME", help="Only this route.")] = None

    def words(self) -> list[str]:
        """As the store's program takes them. Raises InvalidInput."""
        words = [f"--older-than={_age(self.older_than)}"] if self.older_than is not None else []
        words += [f"--max-bytes={size(self.max_size)}"] if self.max_size is not None else []
        return words + ([f"--route={self.route}"] if self.route is not None else [])


@local(
    commands,
    "prune",
    examples=("modelctl db prune --older-than 30d --route fraud --dry-run", "modelctl db prune --max-size 10GiB --yes"),
)
def prune(
    *, limits: Limits, dry_run: DryRun = False, yes: Yes = False, database: Database = None, data_dir: DataDir = None
) -> None:
    """Take old predictions and pairs away, in small steps beside a running recorder. The sums that reports read stay."""
    words = limits.words()
    if dry_run or not yes:
        _run("pruning", *words, "--dry-run", database=database, data_dir=data_dir)
    if not dry_run:
        confirmed("Take this away? It does not come back.", yes=yes)
        _run("pruning", *words, database=database, data_dir=data_dir)


def _age(text: str) -> int:
    whole = round(seconds(text))
    if whole < 1:
        raise InvalidInput(f"--older-than {text}: nothing would be left; name at least 1s")
    return whole


def _run_schema(verb: str, *, database: str | None, data_dir: str | None) -> None:
    _run("schema", verb, database=database, data_dir=data_dir)


def _run(program: str, *words: str, database: str | None, data_dir: str | None) -> None:
    url = read_settings(os.environ, {"database": database, "data_dir": data_dir}).database_url
    command = [sys.executable, "-P", "-m", f"modelctl.store.{program}", *words, "--database", url]
    code = ran(command, _DOING[program])
    if code:
        raise typer.Exit(code if code > 0 else 1)
