"""`report`: the shadow comparison, or what a canary or A/B test has shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from modelctl.cli.api import read
from modelctl.cli.command import REPORTS, Session, client
from modelctl.cli.output import note, show, write_structured, write_text
from modelctl.cli.report_answer import Report
from modelctl.cli.report_examples import show_slice, show_worst
from modelctl.cli.report_sections import report_sections
from modelctl.cli.routes import address
from modelctl.cli.target import only_route
from modelctl.cli.verbs import Route
from modelctl.errors import ModelctlError

commands = typer.Typer()


@dataclass(frozen=True, kw_only=True)
class Face:
    """What is shown of a report, and where it goes."""

    html: Annotated[Path | None, typer.Option(help="Write it as one page into this file, which opens from disk and prints.")] = None
    slice_: Annotated[str, typer.Option("--slice", help="Only examples of this slice, DIMENSION=VALUE, whole and as curl.")] = ""
    worst: Annotated[bool, typer.Option("--worst", help="Only the worst disagreements, whole and as curl.")] = False


@client(
    commands,
    "report",
    examples=(
        "modelctl report fraud --html report.html",
        "modelctl report fraud --rollout 7 -o md > report.md",
    ),
    outputs=REPORTS,
)
def report(
    session: Session,
    route: Route = "",
    *,
    rollout: Annotated[int | None, typer.Option(help="An earlier rollout, from `modelctl list`.")] = None,
    face: Face,
) -> None:
    """Show what the evidence says: verdict, what stands out, funnel, differences with their intervals, the worst disagreements."""
    path = f"{address(only_route(session, route, command='report {route}'))}/report"
    if face.html is not None:
        _write_page(session.api.text(path, format="html", rollout=rollout, slice=face.slice_), face.html)
        return
    if session.output == "md":
        write_text(session.api.text(path, format="md", rollout=rollout, slice=face.slice_))
        return
    answer = session.api.get(path, rollout=rollout, slice=face.slice_)
    if session.structured:
        write_structured(answer, session.output)
        return
    found = read(answer, Report)
    if face.slice_:
        show_slice(found, face.slice_)
    elif face.worst:
        show_worst(found)
    else:
        show(report_sections(found))


def _write_page(text: str, file: Path) -> None:
    """The page under its name, whole or not at all. Raises ModelctlError."""
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ModelctlError(f"the report cannot be written to {file}: {error.strerror}; name another file with --html") from error
    note(f"{file}: {len(text.encode()) // 1000:,} kB, opens from disk in any browser")
