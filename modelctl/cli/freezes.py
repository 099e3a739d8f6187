"""`freeze`: times in which traffic is not moved towards a candidate."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import typer

from modelctl.cli.api import read, read_items
from modelctl.cli.command import LISTS, OBJECTS, Session, client
from modelctl.cli.confirm import Yes, confirmed
from modelctl.cli.quantities import duration, moment
from modelctl.cli.result import Listing, show_listing, tell
from modelctl.cli.start import Reason
from modelctl.errors import InvalidInput

commands = typer.Typer(help="Times in which traffic is not moved towards a candidate.", no_args_is_help=True)

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY, _WEEK = 1440, 7 * 1440
_CLOCK = r"([01][0-9]|2[0-3]):([0-5][0-9])"
_WINDOW = re.compile(rf"({'|'.join(_DAYS)}) {_CLOCK} ?- ?({'|'.join(_DAYS)}) {_CLOCK}")
_DAILY = re.compile(rf"({'|'.join(_DAYS)})(?:-({'|'.join(_DAYS)}))? {_CLOCK} ?- ?{_CLOCK}")


class Weekly(msgspec.Struct, frozen=True):
    """A weekly window: opens on each day at `start` and lasts `minutes`."""

    days: tuple[str, ...]
    start: str
    minutes: int
    zone: str = "UTC"


class FreezeRow(msgspec.Struct, frozen=True):
    """One freeze. Times are Unix milliseconds; 0 is open."""

    id: int
    route: str | None = None
    weekly: Weekly | None = None
    from_at: int = 0
    until_at: int = 0
    actor: str = ""
    reason: str = ""

    @property
    def when(self) -> str:
        """When it holds, in words."""
        if self.weekly is not None:
            lasts = duration(self.weekly.minutes * 60)
            return f"{' '.join(self.weekly.days)} from {self.weekly.start} for {lasts} ({self.weekly.zone})"
        start = moment(self.from_at * 1000) if self.from_at else "now"
        return f"{start} until {moment(self.until_at * 1000) if self.until_at else 'it is removed'}"


@dataclass(frozen=True, kw_only=True)
class Times:
    """A beginning and an end, and the zone in which all times are meant."""

    from_: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Begins then: 2026-12-20T08:00.")] = None
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Ends then.")] = None
    tz: Annotated[str, typer.Option(help="Time zone of these times, such as Europe/Berlin.")] = "UTC"

    def fields(self, window: str) -> dict[str, Any]:
        """The fields of a freeze with this weekly window, or without. Raises InvalidInput."""
        zone = _zone(self.tz)
        if window and (self.from_ or self.until):
            raise InvalidInput("a freeze is a weekly window, or has --from and --until: give one of the two")
        if window:
            return {"weekly": weekly_window(window, zone=self.tz)}
        given = {"from_at": self.from_, "until_at": self.until}
        return {name: _at(text, zone) for name, text in given.items() if text is not None}


@client(
    commands,
    "add",
    examples=(
        "modelctl freeze add 'fri 16:00-mon 08:00' --tz Europe/Berlin --reason weekend",
        "modelctl freeze add --route fraud --from 2026-12-20 --until 2027-01-04T08:00 --reason 'end of the year'",
    ),
)
def add(
    session: Session,
    window: Annotated[str, typer.Argument(metavar="[WINDOW]", help="Weekly: 'fri 16:00-mon 08:00', 'mon-fri 12:00-13:00'.")] = "",
    *,
    route: Annotated[str | None, typer.Option(help="For this route alone; else for all.")] = None,
    times: Times,
    reason: Reason = "",
) -> None:
    """Declare a time in which nothing is advanced or promoted; without one, from now until it is removed."""
    body: dict[str, Any] = {"reason": reason} | ({"route": route} if route else {}) | times.fields(window)
    answer = session.api.post("/v1/freezes", body)
    added = read(answer, FreezeRow)
    where = f"route {added.route}" if added.route else "all routes"
    tell(
        session,
        answer,
        name=str(added.id),
        sentence=f"freeze {added.id} of {where}: {added.when} · modelctl freeze remove {added.id}",
    )


@client(commands, "list", examples=("modelctl freeze list", "modelctl freeze list -o json"), outputs=LISTS)
def list_(session: Session) -> None:
    """List the freezes."""
    answer = session.api.get("/v1/freezes")
    rows = read_items(answer, FreezeRow)
    cells = [[str(row.id), row.route or "all", row.when, row.actor, row.reason or "-"] for row in rows]
    columns = ("ID", "ROUTE", "WHEN", "ACTOR", "REASON")
    show_listing(session, answer, listing=Listing(names=[str(row.id) for row in rows], columns=columns, more=(), rows=cells))


@client(
    commands,
    "remove",
    examples=("modelctl freeze remove 3", "modelctl freeze remove 3 --yes --reason hotfix"),
    outputs=OBJECTS,
)
def remove(
    session: Session,
    freeze: Annotated[int, typer.Argument(metavar="ID", help="Its number, from `freeze list`.", show_default=False)],
    *,
    yes: Yes = False,
    reason: Reason = "",
) -> None:
    """Take a freeze away: automation goes on."""
    confirmed(f"Remove freeze {freeze}? Automation may raise shares again.", yes=yes)
    answer = session.api.post(f"/v1/freezes/{freeze}:remove", {"reason": reason})
    tell(session, answer, name=str(freeze), sentence=f"removed freeze {freeze}")


def weekly_window(text: str, *, zone: str) -> dict[str, Any]:
    """The weekly window that `fri 16:00-mon 08:00` or `mon-fri 12:00-13:00` means. Raises InvalidInput."""
    plain = " ".join(text.lower().split())
    if match := _WINDOW.fullmatch(plain):
        first, hour, minute, last, until_hour, until_minute = match.groups()
        days: tuple[str, ...] = (first,)
        apart = (_DAYS.index(last) - _DAYS.index(first)) * _DAY + _minutes(until_hour, until_minute) - _minutes(hour, minute)
        lasts = apart % _WEEK
    elif match := _DAILY.fullmatch(plain):
        first, to, hour, minute, until_hour, until_minute = match.groups()
        days = _through(first, to or first)
        lasts = (_minutes(until_hour, until_minute) - _minutes(hour, minute)) % _DAY
    else:
        raise InvalidInput(f"{text!r} is no weekly window: write 'fri 16:00-mon 08:00', or 'mon-fri 12:00-13:00'")
    if not lasts:
        raise InvalidInput(f"{text!r} ends where it begins: name two different times")
    return {"days": list(days), "start": f"{hour}:{minute}", "minutes": lasts, "zone": zone}


def _through(first: str, last: str) -> tuple[str, ...]:
    start, count = _DAYS.index(first), (_DAYS.index(last) - _DAYS.index(first)) % 7 + 1
    return tuple(_DAYS[(start + step) % 7] for step in range(count))


def _minutes(hour: str, minute: str) -> int:
    return int(hour) * 60 + int(minute)


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidInput(f"--tz {name}: there is no such time zone; write one like Europe/Berlin") from None


def _at(text: str, zone: tzinfo) -> int:
    """Unix milliseconds of an ISO 8601 time, which stands in `zone` unless it says otherwise."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(f"{text!r} is no time: write 2026-12-20, or 2026-12-20T08:00") from None
    return round((when if when.tzinfo else when.replace(tzinfo=zone)).timestamp() * 1000)
