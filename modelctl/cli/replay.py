"""`replay`: recorded requests sent to a candidate, and the paired report of that."""

import time
from dataclasses import dataclass
from typing import Annotated

import msgspec
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from modelctl.cli.api import read
from modelctl.cli.command import OBJECTS, Session, client
from modelctl.cli.output import note, note_console
from modelctl.cli.patience import quiet
from modelctl.cli.quantities import instant
from modelctl.cli.result import tell
from modelctl.cli.routes import address
from modelctl.cli.start import Reason
from modelctl.cli.target import only_route
from modelctl.cli.verbs import Route
from modelctl.errors import InvalidInput, ModelctlError

commands = typer.Typer()

LOOK = 0.3  # seconds between two looks at a replay
_RUNNING = "running"


class Replaying(msgspec.Struct, frozen=True):
    """Where a replay stands. Times are Unix microseconds."""

    rollout: int
    route: str
    candidate: str
    baseline: str
    state: str
    why: str = ""
    since: int = 0
    until: int = 0
    at: int = 0
    sent: int = 0
    skipped: dict[str, int] = {}

    @property
    def sentence(self) -> str:
        """What it has come to, and the command for its report."""
        left_out = ", ".join(f"{n:,} {reason}" for reason, n in sorted(self.skipped.items()))
        counted = f"{self.sent:,} pairs" + (f", left out: {left_out}" if left_out else "")
        further = "" if self.state == "done" else " · the same command goes on"
        return (
            f"replay {self.rollout} of {self.candidate} against {self.baseline} on route {self.route}: {self.state}, {counted} · "
            f"next: modelctl report {self.route} --rollout {self.rollout}{further}"
        )


@dataclass(frozen=True, kw_only=True)
class Course:
    """Which requests are sent again, and how fast."""

    since: Annotated[str, typer.Option(help="Requests from then on: 7d for seven days ago, or a date.")] = "7d"
    rate: Annotated[str, typer.Option(help="At most so many a second.")] = "50/s"
    limit: Annotated[int, typer.Option(min=0, help="At most so many in this run; 0 for all.")] = 0


@client(
    commands,
    "replay",
    examples=(
        "modelctl replay fraud --candidate fraud-v7 --since 7d",
        "modelctl replay --candidate fraud-v7 --since 1d --rate 200/s --limit 5000 --gate error_rate:guardrail:margin=1pt",
    ),
    outputs=OBJECTS,
)
def replay(
    session: Session,
    route: Route = "",
    *,
    course: Course,
    candidate: Annotated[str, typer.Option(help="The backend that recorded requests are sent to.", show_default=False)],
    gate: Annotated[list[str] | None, typer.Option("--gate", help="What the candidate must prove, as for shadow.")] = None,
    reason: Reason = "",
) -> None:
    """Send recorded requests to a candidate and compare its answers with the recorded ones. No client's traffic changes."""
    name = only_route(session, route, command=f"replay {{route}} --candidate {candidate}")
    body = {"candidate": candidate, "since": instant(course.since, time.time()), "window": course.since}
    body |= {"rate": per_second(course.rate), "limit": course.limit, "gates": gate or [], "reason": reason}
    found = _watched(session, read(session.api.post(f"{address(name)}:replay", body), Replaying))
    if found.state == "failed":
        raise ModelctlError(
            f"replay {found.rollout} broke off: {found.why}; {found.sent:,} pairs are kept, the same command goes on"
        )
    tell(session, msgspec.to_builtins(found), name=str(found.rollout), sentence=found.sentence)


def per_second(text: str) -> float:
    """The requests a second of `50`, `50/s` or `0.5/s`. Raises InvalidInput."""
    try:
        found = float(text.removesuffix("/s"))
    except ValueError:
        found = 0.0
    if not 0 < found <= 10_000:
        raise InvalidInput(f"{text!r} is no rate of a replay: write 50/s, from above 0 to 10000/s")
    return found


def _watched(session: Session, found: Replaying) -> Replaying:
    """The replay when it is over; Ctrl-C stops it first."""
    path = f"/v1/replays/{found.rollout}"
    console = note_console()
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with quiet(), Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("replay", total=max(1, found.until - found.since))
        try:
            while found.state == _RUNNING:
                time.sleep(LOOK)
                found = read(session.api.get(path), Replaying)
                progress.update(bar, completed=max(0, found.at - found.since), description=f"{found.sent:,} sent")
        except KeyboardInterrupt:
            found = read(session.api.post(f"{path}:stop", {}), Replaying)
            note(found.sentence)
            raise
    return found
