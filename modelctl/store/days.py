"""Days of evidence in PostgreSQL: partitions of `prediction` and `pair`, named and bounded by the day that ids begin with. Pure.

An id is a UUIDv7 in hex, so its first 12 digits are Unix milliseconds and a day of UTC is a range of ids: the keys of the tables
stay what they are. What falls on no day that there is stands in the partition `rest`: ids of a wrong clock, or of none at all.
"""

import re
from collections.abc import Collection, Iterable
from datetime import UTC, date, datetime
from typing import NamedTuple

DAY_MS = 86_400_000
AHEAD = 2
"""Days of the future that have a partition: one that cannot be made today is made tomorrow."""
BACK = 366
"""Days of the past that get one when evidence of them comes. What is older stands in `rest`."""

KEYS = {"prediction": "id", "pair": "prediction_id"}
"""The tables that are partitioned, and the column they are partitioned by."""

_EPOCH = date(1970, 1, 1).toordinal()
_LAST_DAY = date.max.toordinal() - _EPOCH
_NAMED = re.compile(r"(prediction|pair)_(before_)?(\d{8})(_detached)?")


class Days(NamedTuple):
    """A partition: the day `first`, or with `before` all days up to `end`. Days are counted from 1970-01-01; `end` is excluded."""

    table: str
    end: int
    before: bool = False
    detached: bool = False

    @property
    def name(self) -> str:
        """Of the partition, without what is added when it is detached."""
        named = self.end if self.before else self.end - 1
        return f"{self.table}_{'before_' if self.before else ''}{date_of(named):%Y%m%d}"

    @property
    def relation(self) -> str:
        """Of the table that holds it now."""
        return f"{self.name}_detached" if self.detached else self.name

    @property
    def low(self) -> str:
        """Its ids begin here."""
        return "" if self.before else id_at(self.end - 1)

    @property
    def high(self) -> str:
        """Its ids end before this."""
        return id_at(self.end)


def days_named(relations: Iterable[str]) -> list[Days]:
    """Those of the relations that are days, the oldest first."""
    found = []
    for relation in relations:
        match = _NAMED.fullmatch(relation)
        if match:
            table, before, day, detached = match.groups()
            number = datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC).toordinal() - _EPOCH
            found.append(Days(table, number if before else number + 1, before=bool(before), detached=bool(detached)))
    return sorted(found, key=lambda one: (one.end, one.table))


def day_of(at: int) -> int:
    """The day of a Unix microsecond."""
    return at // (DAY_MS * 1000)


def date_of(day: int) -> date:
    """The day in the calendar."""
    return date.fromordinal(_EPOCH + min(max(day, 0), _LAST_DAY))


def id_at(day: int) -> str:
    """What ids of the day are not below."""
    return f"{day * DAY_MS:012x}"


def days_of(ids: Iterable[bytes]) -> set[int]:
    """The days of ids, and now and then one beside them: an id is looked at by its first four bytes, which tell a minute."""
    slots = {identity[:4] for identity in ids}
    starts = [int.from_bytes(slot, "big") << 16 for slot in slots]
    return {moment // DAY_MS for start in starts for moment in (start, start + 0xFFFF)}


def wanted(ids: Iterable[bytes], *, at: int) -> set[int]:
    """The days that have to have partitions for these ids at Unix microsecond `at`, and those ahead."""
    today = day_of(at)
    return {day for day in days_of(ids) if today - BACK <= day <= today + AHEAD} | set(range(today, today + AHEAD + 1))


def uncovered(days: Iterable[int], there: Collection[Days], *, table: str) -> list[Days]:
    """Partitions of the table that the days lack."""
    mine = [one for one in there if one.table == table and not one.detached]
    until = max((one.end for one in mine if one.before), default=0)
    known = {one.end for one in mine if not one.before}
    return [Days(table, day + 1) for day in sorted(days) if day >= until and day + 1 not in known]
