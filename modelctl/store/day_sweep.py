"""Whole days of PostgreSQL go at once, when nothing in them has to stay: in milliseconds, where rows took hours.

A day of `prediction` or `pair` goes when every row in it is past the retention of its route and no answer in it waits for its
truth. While one row has to stay, the others go one by one, as in SQLite. A day is taken out of its table first, which hides it at
once; then the feedback about its answers goes in small steps; then its file. Whatever breaks off there, the next sweep finishes.
"""

# ruff: noqa: S608  (tables are named by this program)

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, text

from modelctl.store.days import Days
from modelctl.store.partitions import attached_days, detached_days
from modelctl.store.retention import Removed

LOCK_MS = 200
"""How long a day waits for its lock, and everybody who comes after it too."""

Limits = Mapping[str, int]

_NO_ANSWER = "NOT EXISTS (SELECT 1 FROM prediction WHERE prediction.request_id = said.request_id)"
_UNSAY = "DELETE FROM feedback WHERE id IN (SELECT id FROM feedback AS said WHERE joined = 1 AND {where})"


def free_days(connection: Connection, limits: Limits, *, at: int) -> list[Days]:
    """The days that may go whole, pairs before predictions. `limits` are the times before which a route's rows go."""
    if not limits:
        return []
    newest = f"{max(0, min(at, max(limits.values()))) // 1000:012x}"
    old = [one for one in attached_days(connection) if one.high <= newest]
    return sorted((one for one in old if _is_free(connection, one, limits=limits)), key=lambda one: (one.end, one.table != "pair"))


def _is_free(connection: Connection, day: Days, *, limits: Limits) -> bool:
    return _all_past(connection, day, limits=limits) and not _waits(connection, day)


def _all_past(connection: Connection, day: Days, *, limits: Limits) -> bool:
    """Whether each of the day's rows is past its route's limit. Reads as many rows as there are routes, or rollouts of pairs."""
    past = _newest_of_routes(connection, day) if day.table == "prediction" else _routes_of_pairs(connection, day)
    return all(route in limits and newest < limits[route] for route, newest in past)


def _newest_of_routes(connection: Connection, day: Days) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    while (name := _next(connection, day, column="route", behind=found[-1][0] if found else None)) is not None:
        newest = text(f"SELECT max(at) FROM {day.relation} WHERE route = :name")
        found.append((name, int(connection.execute(newest, {"name": name}).scalar_one())))
    return found


def _routes_of_pairs(connection: Connection, day: Days) -> list[tuple[str, int]]:
    """A pair has the time that its id tells, and the route of its rollout."""
    found: list[tuple[str, int]] = []
    rollout: int | None = None
    while (rollout := _next(connection, day, column="rollout", behind=rollout)) is not None:
        one = text(f"SELECT route FROM {day.relation} WHERE rollout = :rollout LIMIT 1")
        found.append((connection.execute(one, {"rollout": rollout}).scalar_one(), int(day.high, 16) * 1000 - 1))
    return found


def _next(connection: Connection, day: Days, *, column: str, behind: Any) -> Any:  # noqa: ANN401 names or numbers
    """The next value of an indexed column: one look into the index, however many rows have it."""
    where = "" if behind is None else f"WHERE {column} > :behind"
    query = f"SELECT min({column}) FROM {day.relation} {where}"
    return connection.execute(text(query), {} if behind is None else {"behind": behind}).scalar()


def _waits(connection: Connection, day: Days) -> bool:
    """Whether the truth about a request of the day is still to be joined."""
    query = (
        f"SELECT EXISTS (SELECT 1 FROM feedback JOIN {day.relation} AS kept ON kept.request_id = feedback.request_id "
        "WHERE feedback.joined = 0)"
    )
    return bool(connection.execute(text(query)).scalar_one())


class DayOut:
    """Takes a day out of its table, unless a row came in the meantime that has to stay."""

    def __init__(self, day: Days, *, limits: Limits | None) -> None:
        self.day = day
        self._limits = limits

    def __call__(self, connection: Connection, limit: int) -> Removed:
        day = self.day
        run = connection.exec_driver_sql
        run(f"SET LOCAL lock_timeout = {LOCK_MS}")
        run(f"LOCK TABLE {day.table} IN ACCESS EXCLUSIVE MODE")
        there = day.name in {one.name for one in attached_days(connection)}
        if there and (self._limits is None or _all_past(connection, day, limits=self._limits)):
            run(f"ALTER TABLE {day.table} DETACH PARTITION {day.name}")
            run(f"ALTER TABLE {day.name} RENAME TO {day.name}_detached")
        return Removed()


class DayGone:
    """Removes a day that was taken out: first the feedback about its answers, then its rows."""

    def __init__(self, day: Days) -> None:
        self.day = day._replace(detached=True)

    def __call__(self, connection: Connection, limit: int) -> Removed:
        day = self.day
        if day.name not in {one.name for one in detached_days(connection)}:
            return Removed()
        said = self._unsaid(connection, limit) if day.table == "prediction" else 0
        if said:
            return Removed(feedback=said, chosen=limit)
        said = self._unsaid_before(connection) if day.table == "prediction" else 0
        rows = int(connection.exec_driver_sql(f"SELECT count(*) FROM {day.relation}").scalar_one())
        connection.exec_driver_sql(f"DROP TABLE {day.relation}")
        return Removed(feedback=said)._replace(**{"predictions" if day.table == "prediction" else "pairs": rows})

    def _unsaid(self, connection: Connection, limit: int) -> int:
        """As for single rows, what is said of a request stays as long as another answer to it does."""
        within = "prediction_id >= :low AND prediction_id < :high"
        query = text(_UNSAY.format(where=f"{within} AND {_NO_ANSWER} LIMIT :limit"))
        return connection.execute(query, {"low": self.day.low, "high": self.day.high, "limit": limit}).rowcount

    def _unsaid_before(self, connection: Connection) -> int:
        """What is said of requests that were answered on an earlier day too, which went before this one."""
        again = f"EXISTS (SELECT 1 FROM {self.day.relation} AS gone WHERE gone.request_id = said.request_id)"
        query = text(_UNSAY.format(where=f"prediction_id < :low AND {again} AND {_NO_ANSWER}"))
        return connection.execute(query, {"low": self.day.low}).rowcount


def oldest_days(connection: Connection, count: int) -> list[Days]:
    """Days at the beginning that hold at most `count` predictions together, none of which waits, with those of their pairs."""
    found: list[Days] = []
    end = ""
    for day in [one for one in attached_days(connection) if one.table == "prediction"]:
        held = int(connection.exec_driver_sql(f"SELECT count(*) FROM {day.relation}").scalar_one())
        count -= held
        if count < 0 or _waits(connection, day):
            break
        if held:
            found.append(day)
            end = day.high
    pairs = [one for one in attached_days(connection) if one.table == "pair" and one.high <= end]
    return sorted([*pairs, *found], key=lambda one: (one.end, one.table != "pair"))
