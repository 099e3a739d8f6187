"""`export`: recorded predictions and pairs as files for other programs."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import typer

from modelctl.cli.cloud_events import cloud_events
from modelctl.cli.command import Session, client
from modelctl.cli.export_stream import Meter, destination, exported
from modelctl.cli.output import note
from modelctl.cli.parquet_file import parquet_file
from modelctl.cli.quantities import instant
from modelctl.cli.target import only_route
from modelctl.cli.verbs import Route
from modelctl.errors import InvalidInput

commands = typer.Typer()


def _as_it_is(line: bytes) -> bytes:
    return line


# What becomes of an exported line.
FORMATS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {"ndjson": _as_it_is, "cloudevents": cloud_events, "parquet": _as_it_is}
)
ROWS = ("predictions", "pairs")


@dataclass(frozen=True, kw_only=True)
class Extent:
    """Which rows are exported."""

    since: Annotated[str, typer.Option(help="From then on: 7d for seven days ago, or 2026-01-31T12:00:00Z.")] = ""
    until: Annotated[str, typer.Option(help="Up to then; now unless said.")] = ""
    after: Annotated[str, typer.Option(help="Go on behind this place, which a broken export names.")] = ""
    rollout: Annotated[int | None, typer.Option(help="Only rows of this rollout.")] = None

    def query(self, now: float) -> dict[str, str | int | None]:
        """Its fields of the API's query at Unix second `now`. Raises InvalidInput."""
        since, until = (instant(text, now) if text else None for text in (self.since, self.until))
        return {"since": since, "until": until, "after": self.after, "rollout": self.rollout}


@client(
    commands,
    "export",
    examples=(
        "modelctl export fraud --since 7d --output fraud.ndjson",
        "modelctl export fraud --format parquet --since 2026-01-31 --until 2026-02-01 --output fraud.parquet",
    ),
    outputs=(),
)
def export(
    session: Session,
    route: Route = "",
    *,
    extent: Extent,
    format_: Annotated[str, typer.Option("--format", help=f"One of: {', '.join(FORMATS)}.")] = "ndjson",
    what: Annotated[str, typer.Option(help="predictions or pairs.")] = "predictions",
    file: Annotated[Path | None, typer.Option("--output", help="A file instead of standard output; it appears when whole.")] = None,
) -> None:
    """Write recorded predictions or pairs, the oldest first, to standard output or a file."""
    convert = _format(format_, what)
    now = time.time()
    query = {"route": only_route(session, route, command="export {route}"), **extent.query(now)}
    last = instant(extent.until, now) if extent.until else int(now * 1_000_000)
    opened = (
        parquet_file(file, what=what, append=bool(extent.after))
        if format_ == "parquet"
        else destination(file, append=bool(extent.after))
    )
    with closing(Meter(last)) as meter, opened as target:
        for line in exported(session.api, f"/v1/{what}:export", query=query, told=meter.tell):
            target.write(convert(line))
    if file is not None:
        note(f"{meter.count:,} {what} in {file}")


def _format(name: str, what: str) -> Callable[[bytes], bytes]:
    if what not in ROWS:
        raise InvalidInput(f"--what {what}: exported are {' or '.join(ROWS)}")
    if name not in FORMATS:
        raise InvalidInput(f"--format {name}: this command knows {', '.join(FORMATS)}")
    if name == "cloudevents" and what != "predictions":
        raise InvalidInput("CloudEvents are requests and their answers: export --what predictions, or pairs as ndjson")
    return FORMATS[name]
