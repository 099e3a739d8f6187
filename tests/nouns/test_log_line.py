"""Log lines: the names of the Elastic Common Schema, and a line for people."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.log_line import LogEntry, LogSource, for_people, human_line, level_of, log_line, timestamp

AT = 1_795_254_806_229
ROUTER = LogSource("router", 17, "w-0")


@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)))  # noqa: DTZ001  (bounds have no zone here)
def test_a_timestamp_is_the_moment_in_utc(moment: datetime) -> None:
    moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
    at = int(moment.timestamp()) * 1000 + moment.microsecond // 1000
    assert timestamp(at) == moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def test_a_line_begins_as_ecs_wants_it_and_names_who_logs() -> None:
    entry = LogEntry(event="endpoint-ejected", message="too slow", at=AT, labels={"file": "x"})
    line = json.loads(log_line(entry, ROUTER))
    assert list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
    assert line == {
        "@timestamp": "2026-11-21T09:53:26.229Z",
        "log.level": "warn",
        "message": "too slow",
        "ecs.version": "8.11.0",
        "service.name": "modelctl",
        "event.dataset": "modelctl.router",
        "event.action": "endpoint-ejected",
        "process.name": "router",
        "process.pid": 17,
        "service.node.name": "w-0",
        "labels": {"file": "x"},
    }


@pytest.mark.parametrize("event", ["evidence-dropped", "answers-do-not-wait", "no-partition", "sync-failed", "breaker-open"])
def test_what_somebody_has_to_look_at_is_a_warning(event: str) -> None:
    assert level_of(event) == "warn"


@pytest.mark.parametrize("event", ["evidence-kept", "answers-wait", "breaker-closed", "started"])
def test_what_is_well_again_is_no_warning(event: str) -> None:
    assert level_of(event) == "info"


def test_a_traceback_becomes_an_error_of_its_type() -> None:
    trace = 'look: Traceback (most recent call last):\n  File "x", line 1\nValueError: it is: wrong\n'
    line = json.loads(log_line(LogEntry(event="tick-failed", message=trace, at=AT), ROUTER))
    assert (line["log.level"], line["message"]) == ("error", "look:")
    assert (line["error.type"], line["error.message"], line["error.stack_trace"]) == ("ValueError", "it is: wrong", trace)


@given(st.text(), st.text())
def test_whatever_is_said_is_one_line(event: str, message: str) -> None:
    entry = LogEntry(event=event, message=message, at=AT)
    assert b"\n" not in log_line(entry, ROUTER)
    assert json.loads(log_line(entry, ROUTER))["@timestamp"]


def test_people_get_a_short_line() -> None:
    entry = LogEntry(event="quarantine", message="no JSON", at=AT, labels={"file": "x"})
    assert human_line(entry, LogSource("recorder", 3)) == b"09:53:26 recorder: quarantine: no JSON file=x"


@pytest.mark.parametrize(
    ("chosen", "terminal", "people"),
    [("", True, True), ("auto", False, False), ("json", True, False), ("human", False, True), ("", False, False)],
)
def test_who_the_lines_are_for(chosen: str, *, terminal: bool, people: bool) -> None:
    assert for_people(chosen, terminal=terminal) is people
