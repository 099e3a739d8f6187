"""What the processes log: one JSON object a line in the names of the Elastic Common Schema, or one line for people. Pure.

Source: Elastic Common Schema 8.11 and its logging specification (the first three fields and their order, dotted names).
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

ECS_VERSION = "8.11.0"
_TRACEBACK = "Traceback (most recent call last)"


class LogFormat(StrEnum):
    """How log lines look; `auto` is for people on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    HUMAN = "human"


class LogSource(msgspec.Struct, frozen=True):
    """Who logs: the part of the program, its process id, and with several of a part which one."""

    part: str
    pid: int
    node: str = ""


class LogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What happened: the event's name, words about it, facts, and when (Unix ms). The level is the event's unless given.

    What third parties log has no event.
    """

    event: str
    message: str
    at: int
    labels: Mapping[str, str] = {}
    level: str = ""


_ERRORS = frozenset({"connection-failed", "tick-failed", "gave-up", "restart-failed"})
_WARNINGS = frozenset(
    {
        "answers-do-not-wait",
        "backend-not-reached",
        "breaker-open",
        "control-plane-unreachable",
        "endpoint-ejected",
        "endpoint-unhealthy",
        "endpoints-panic",
        "evidence-dropped",
        "left",
        "name-unresolved",
        "no-partition",
        "quarantine",
        "restarting",
        "shortage",
        "sync-failed",
        "table-not-saved",
        "table-refused",
        "tls-files-refused",
        "traces-lost",
        "waiting",
    }
)


def level_of(event: str) -> str:
    """error, warn or info: what this event asks of whoever reads it."""
    if event in _ERRORS:
        return "error"
    return "warn" if event in _WARNINGS else "info"


def log_line(entry: LogEntry, source: LogSource) -> bytes:
    """One JSON object, without the end of the line."""
    event, message, labels = entry.event, entry.message, entry.labels
    line: dict[str, Any] = {
        "@timestamp": timestamp(entry.at),
        "log.level": entry.level or level_of(event),
        "message": message or event,
        "ecs.version": ECS_VERSION,
        "service.name": "modelctl",
        "event.dataset": f"modelctl.{source.part}",
        "process.name": source.part,
        "process.pid": source.pid,
    }
    if event:
        line["event.action"] = event
    if source.node:
        line["service.node.name"] = source.node
    if _TRACEBACK in message:
        line |= _error(message)
    if labels:
        line["labels"] = labels
    return msgspec.json.encode(line)


def _error(message: str) -> dict[str, str]:
    """A message that holds a traceback: its last line says what went wrong."""
    last = message.rstrip().rpartition("\n")[2]
    kind, _, why = last.partition(": ")
    before = message.partition(_TRACEBACK)[0].strip()
    return {"message": before or last, "error.type": kind, "error.message": why, "error.stack_trace": message}


def human_line(entry: LogEntry, source: LogSource) -> bytes:
    """The same for people, in UTC: `10:16:51 router w-0: breaker-open: new on route fraud keeps failing`."""
    who = f"{source.part} {source.node}" if source.node else source.part
    facts = " ".join(f"{name}={value}" for name, value in entry.labels.items())
    words = ": ".join(part for part in (who, entry.event, entry.message) if part)
    return f"{timestamp(entry.at)[11:19]} {words}{' ' if facts else ''}{facts}".encode()


def rendered(entry: LogEntry, source: LogSource, *, people: bool) -> bytes:
    """The whole line."""
    return (human_line if people else log_line)(entry, source) + b"\n"


def for_people(chosen: str, *, terminal: bool) -> bool:
    """Whether lines are for people; anything but a format is `auto`."""
    return chosen == LogFormat.HUMAN or (terminal and chosen != LogFormat.JSON)


def timestamp(at: int) -> str:
    """Unix milliseconds as RFC 3339 in UTC. The calendar is Howard Hinnant's `civil_from_days`."""
    seconds, milliseconds = divmod(at, 1000)
    days, second = divmod(seconds, 86_400)
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    of_year = day - (365 * year + year // 4 - year // 100)
    shifted = (5 * of_year + 2) // 153  # months from March
    month = shifted + 3 if shifted < 10 else shifted - 9
    date = f"{year + era * 400 + (month <= 2):04}-{month:02}-{of_year - (153 * shifted + 2) // 5 + 1:02}"
    return f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{milliseconds:03}Z"
