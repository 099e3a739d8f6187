"""`predictions --follow`: each new prediction once, in the order of time, as lines that a pipe can read."""

import sys
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

import msgspec

from modelctl.cli.api import Json, read_items
from modelctl.cli.command import Session
from modelctl.cli.output import note, say, write_names, write_structured
from modelctl.cli.prediction_answer import PredictionRow
from modelctl.errors import ControlPlaneUnreachable, StoreError

EVERY = 1.0
BACK = 60_000_000
"""How long before the newest known one a new one may have been asked, in microseconds: a slow answer is recorded when it ends."""
AT_ONCE = 1_000
REMEMBERED = 20_000
_WIDTHS = (19, 16, 13, 6, 9)
_COLUMNS = ("TIME", "ARM", "OUTCOME", "STATUS", "LATENCY", "PREDICTION")


class Seen:
    """Which predictions were shown: the last REMEMBERED of them; and whether the control plane is known to be away."""

    def __init__(self) -> None:
        self._ids: OrderedDict[str, None] = OrderedDict()
        self.newest = 0
        self.away = False

    def new(self, rows: Sequence[PredictionRow]) -> list[PredictionRow]:
        """Those that were not shown, from the oldest to the newest; now they are."""
        found = sorted((row for row in rows if row.id not in self._ids), key=lambda row: (row.at, row.id))
        self._ids.update(dict.fromkeys(row.id for row in found))
        while len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)
        self.newest = max([self.newest, *(row.at for row in found)])
        return found


def follow(session: Session, query: Mapping[str, str | int | None], *, limit: int) -> NoReturn:
    """Shows the newest `limit`, then each new one, until Ctrl-C. A control plane that is away is said once, and waited for."""
    seen = Seen()
    first = session.api.get("/v1/predictions", **query, limit=AT_ONCE)
    if session.output in ("table", "wide"):
        say(_line(_COLUMNS))
    _write(session, first, new=seen.new(read_items(first, PredictionRow))[-limit:])
    while True:
        time.sleep(EVERY)
        answer = _asked(session, {**query, "since": max(1, seen.newest - BACK)}, seen=seen)
        new = seen.new(read_items(answer, PredictionRow))
        if len(new) == AT_ONCE:
            note(f"more than {AT_ONCE:,} came at once: the newest are shown, narrow it with --where")
        _write(session, answer, new=new)


def _asked(session: Session, query: Mapping[str, str | int | None], *, seen: Seen) -> Json:
    try:
        answer = session.api.get("/v1/predictions", **query, limit=AT_ONCE)
    except (ControlPlaneUnreachable, StoreError) as error:
        if not seen.away:
            note(f"{error} · asking again every {EVERY:.0f} seconds")
        seen.away = True
        return {"items": []}
    seen.away = False
    return answer


def _write(session: Session, answer: Json, *, new: Sequence[PredictionRow]) -> None:
    whole = {item["id"]: item for item in answer["items"]}
    if session.output == "json":
        write_names([msgspec.json.encode(whole[row.id]).decode() for row in new])
    elif session.output == "yaml" and new:
        write_structured([whole[row.id] for row in new], "yaml")
    elif session.output == "name":
        write_names([row.id for row in new])
    elif session.output in ("table", "wide"):
        for row in new:
            say(_line(_cells(row)))
    sys.stdout.flush()


def _cells(row: PredictionRow) -> Iterator[str]:
    time_, _, arm, outcome, status, latency, value, id_ = row.cells[:8]
    yield from (time_, arm, outcome, status, latency, f"{value}  {id_}")


def _line(cells: Iterator[str] | Sequence[str]) -> str:
    *short, last = cells
    return "  ".join([*(cell.ljust(width) for cell, width in zip(short, _WIDTHS, strict=True)), last])
