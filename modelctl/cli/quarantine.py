"""`evidence`: what could not be recorded, and giving it back to the recorder."""

import time
from typing import Annotated

import msgspec
import typer

from modelctl.cli.api import read, read_items
from modelctl.cli.command import LISTS, Session, client
from modelctl.cli.import_ import Taken
from modelctl.cli.output import note
from modelctl.cli.quantities import moment
from modelctl.cli.records import Limit
from modelctl.cli.result import Listing, show_listing, tell
from modelctl.cli.start import Reason
from modelctl.errors import InvalidInput, NotFound

commands = typer.Typer(help="What could not be recorded, and giving it back to the recorder.", no_args_is_help=True)

PATIENCE = 15.0  # seconds for the recorder to take what was given back
_LOOK = 0.2

Text = Annotated[str, typer.Option("--text", help="Only those whose reason contains this.")]


class SetAsideRow(msgspec.Struct, frozen=True):
    """A record that was set aside. Times are Unix microseconds; `what` is empty where there is no record."""

    id: str
    reason: str
    size: int
    set_aside_at: int
    what: str = ""
    problem: str = ""
    route: str = ""
    rollout: int = 0
    stage: int = 0
    arm: str = ""
    request_id: str = ""
    prediction_id: str = ""
    at: int = 0

    @property
    def sentences(self) -> list[str]:
        """All of it, for people."""
        first = [f"{self.id}: {self.reason}", f"set aside {moment(self.set_aside_at)} · {self.size:,} bytes"]
        if not self.what:
            return [*first, f"holds no record: {self.problem}"]
        place = f"rollout {self.rollout}, stage {self.stage}" if self.rollout else "outside of rollouts"
        asked = f"request {self.request_id} at {moment(self.at)}"
        return [*first, f"{self.what} of {self.arm} · route {self.route}, {place}", f"{asked} · prediction {self.prediction_id}"]


class Requeued(msgspec.Struct, frozen=True):
    """What a requeue did, and what the recorder made of it."""

    name: str = ""
    requeued: int = 0
    unreadable: int = 0
    waiting: int = 0
    recorded: int = 0
    known: int = 0
    quarantined: int = 0

    @property
    def settled(self) -> bool:
        """Whether the recorder is done with them."""
        return self.recorded + self.known + self.quarantined >= self.requeued

    @property
    def sentence(self) -> str:
        """What became of them, for people."""
        parts = [f"{self.requeued:,} requeued", f"{self.recorded:,} recorded", f"{self.known:,} known before"]
        parts += [f"{self.quarantined:,} set aside again"] if self.quarantined else []
        parts += [f"{self.unreadable:,} hold no record and stay"] if self.unreadable else []
        return " · ".join(parts)


@client(
    commands,
    "quarantine",
    examples=("modelctl evidence quarantine", "modelctl evidence quarantine --text 'cannot be read' -o json"),
    outputs=LISTS,
)
def quarantine(session: Session, *, text: Text = "", limit: Limit = 100) -> None:
    """List what the recorder of the control plane's machine could not record, and why."""
    answer = session.api.get("/v1/quarantine", text=text, limit=limit)
    rows = read_items(answer, SetAsideRow)
    cells = [[row.id, moment(row.set_aside_at), row.what or "-", row.route or "-", row.arm or "-", row.reason] for row in rows]
    columns = ("ID", "SET ASIDE", "WHAT", "ROUTE", "ARM", "REASON")
    show_listing(session, answer, listing=Listing(names=[row.id for row in rows], columns=columns, more=(), rows=cells))


@client(
    commands,
    "show",
    examples=("modelctl evidence show w0-6409a1-77-1-4096", "modelctl evidence show w0-6409a1-77-1-4096 -o json"),
)
def show(
    session: Session,
    record: Annotated[str, typer.Argument(metavar="ID", help="From `evidence quarantine`.", show_default=False)],
) -> None:
    """Show one record that could not be recorded."""
    answer = session.api.get(f"/v1/quarantine/{record}")
    found = read(answer, SetAsideRow)
    tell(session, answer, name=found.id, sentence="\n".join(found.sentences))


@client(
    commands,
    "requeue",
    examples=("modelctl evidence requeue --all", "modelctl evidence requeue w0-6409a1-77-1-4096 --reason 'kind v2 reads it now'"),
)
def requeue(
    session: Session,
    records: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="From `evidence quarantine`.")] = None,
    *,
    text: Text = "",
    all_: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    reason: Reason = "",
) -> None:
    """Give records back to the recorder after a fix. Each is recorded once, however often it is given back."""
    if sum(map(bool, (records, text, all_))) != 1:
        raise InvalidInput(
            "say which: ids, --text TEXT or --all\n  modelctl evidence quarantine\n  modelctl evidence requeue --all"
        )
    body = {"ids": records or [], "text": text, "all": all_, "reason": reason}
    done = read(session.api.post("/v1/quarantine:requeue", body), Requeued)
    found = _settled(session, done) if done.requeued else done
    tell(session, msgspec.to_builtins(found), name=found.name or "-", sentence=found.sentence)
    if not found.settled:
        note(f"the recorder has not read all of them yet; they are safe in the spool {found.name}")
    if found.waiting:
        note(f"{found.waiting:,} more wait until the recorder is less behind: repeat the command")


def _settled(session: Session, done: Requeued) -> Requeued:
    """What the recorder made of them, as far as it comes within PATIENCE."""
    found, deadline = done, time.monotonic() + PATIENCE
    while not found.settled and time.monotonic() < deadline:
        time.sleep(_LOOK)
        try:
            seen = read(session.api.get(f"/v1/requeues/{done.name}"), Taken)
        except NotFound:
            continue
        found = msgspec.structs.replace(done, recorded=seen.recorded, known=seen.known, quarantined=seen.quarantined)
    return found
