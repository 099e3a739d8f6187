"""The pure parts of the pages."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from time import sleep

import pytest

from modelctl.controlplane.dashboard.health import Standing, standing_of
from modelctl.controlplane.dashboard.kept import Kept
from modelctl.controlplane.dashboard.paging import PAGE, part_of
from modelctl.controlplane.dashboard.side_by_side import beside, text_of
from modelctl.controlplane.dashboard.start_forms import FORMS, command_of, names_of, order_of
from modelctl.controlplane.dashboard.words import MARKS, command, harm, latency, mark, relative
from modelctl.counts import Key
from modelctl.errors import InvalidInput
from modelctl.quantity import basis_points, rungs
from modelctl.store.reading import Body

NOW = 1_700_000_000_000_000


def body(content: bytes, size: int | None = None) -> Body:
    return Body("application/json", "", content, len(content) if size is None else size)


def fields(strategy: str, **given: str) -> dict[str, str]:
    typed = {name.replace("_", "-"): value for name, value in given.items()}
    return dict.fromkeys(names_of(FORMS[strategy]), "") | typed


@pytest.mark.parametrize(
    ("gauges", "word"),
    [
        ({}, "unknown"),
        ({("endpoints", "a"): [2, 2], ("endpoints-available", "a"): [2, 2]}, "up"),
        ({("endpoints", "a"): [2, 2], ("endpoints-available", "a"): [2, 1]}, "degraded"),
        ({("endpoints", "a"): [1], ("endpoints-available", "a"): [0], ("endpoints-ejected", "a"): [1]}, "down"),
        ({("endpoints", "b"): [1], ("endpoints-available", "b"): [1]}, "unknown"),
    ],
)
def test_a_backend_stands_as_the_worker_that_sees_the_least_says(gauges: dict[tuple[str, ...], list[float]], word: str) -> None:
    assert standing_of("a", gauges).word == word


def test_what_is_in_flight_is_that_of_all_workers() -> None:
    gauges: dict[Key, list[float]] = {
        ("endpoints", "a"): [1.0, 1.0],
        ("endpoints-available", "a"): [1.0, 1.0],
        ("backend-inflight", "a"): [3.0, 4.0],
    }
    assert standing_of("a", gauges) == Standing(workers=2, endpoints=1, available=1, inflight=7)


def test_what_was_worked_out_is_kept_for_its_time_and_no_longer() -> None:
    kept: Kept[int] = Kept(most=2, lasts=10)
    made = iter(range(10))
    assert [kept.get("a", lambda: next(made), at=at) for at in (0, 9, 10, 11, 5)] == [0, 0, 1, 1, 2]
    for key in "bcd":
        kept.get(key, lambda: next(made), at=12)
    assert kept.get("b", lambda: 99, at=12) == 99
    assert kept.get("d", lambda: 99, at=12) != 99


def test_what_many_ask_for_at_once_is_worked_out_once() -> None:
    kept: Kept[int] = Kept(most=2, lasts=10)
    asked, made = Barrier(8), list[int]()

    def make() -> int:
        sleep(0.2)
        made.append(1)
        return len(made)

    def ask(_: int) -> int:
        asked.wait(10)
        return kept.get("a", make, at=0)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(8))) == {1}
    assert made == [1]


def test_what_cannot_be_worked_out_fails_for_all_who_asked_and_is_tried_again() -> None:
    kept: Kept[int] = Kept(most=2, lasts=10)
    asked, tried = Barrier(4), list[int]()

    def fail() -> int:
        sleep(0.2)
        tried.append(1)
        raise InvalidInput("no")

    def ask(_: int) -> str:
        asked.wait(10)
        try:
            return str(kept.get("a", fail, at=0))
        except InvalidInput as error:
            return str(error)

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(ask, range(4))) == {"no"}
    assert tried == [1]
    assert kept.get("a", lambda: 7, at=0) == 7


@pytest.mark.parametrize(("wanted", "page"), [("", 1), ("2", 2), ("99", 3), ("0", 1), ("-1", 1), ("x", 1), ("9" * 40, 1)])
def test_a_page_that_is_not_there_is_the_nearest(wanted: str, page: int) -> None:
    items = list(range(2 * PAGE + 1))
    part = part_of(items, wanted)
    assert (part.page, part.pages, part.total) == (page, 3, len(items))
    assert list(part.items) == items[(page - 1) * PAGE : page * PAGE]


def test_every_state_has_a_shape_beside_its_colour() -> None:
    assert all(one.shape and one.tone in ("good", "bad", "wait", "calm") for one in MARKS.values())
    assert mark("never heard of").tone == "calm"


def test_numbers_and_times_are_written_for_people() -> None:
    assert [latency(value) for value in (None, 420, 4_200, 1_250_000)] == ["–", "0.42 ms", "4.2 ms", "1,250 ms"]
    assert [relative(NOW - ago, NOW) for ago in (0, 61_000_000, -61_000_000)] == ["now", "1m 01s ago", "in 1m 01s"]
    assert [harm(0.0031, unit) for unit in ("points", "relative", "rate", "value")] == ["+0.31 pt", "+0.31%", "0.31%", "+0.0031"]
    assert harm(None, "points") == "∞"


def test_a_command_holds_whatever_was_typed_as_one_word() -> None:
    assert command("promote", "fraud", winner="", reason="it's fine; rm -rf /") == (
        "modelctl promote fraud --reason 'it'\"'\"'s fine; rm -rf /'"
    )
    line = command_of("canary", "fraud", fields=fields("canary", candidates="b", percent="5", gates="x:y\n z ", force="yes"))
    assert line == "modelctl canary fraud b --percent 5 --gate x:y --gate z --force"


@pytest.mark.parametrize(
    ("strategy", "typed", "fault"),
    [
        ("canary", {"candidates": "b"}, "say how much"),
        ("canary", {"candidates": "b", "percent": "5", "bake": "soon"}, "no duration"),
        ("canary", {"candidates": "b", "percent": "5", "min_n": "many"}, "whole number"),
        ("shadow", {"candidates": "b", "max_inflight": "-1"}, "whole number"),
        ("ab", {"candidates": "a=50 b=40"}, "add up to 90%"),
        ("blue-green", {"candidates": "b", "percent": "0.001"}, "too fine"),
    ],
)
def test_a_field_that_cannot_be_read_says_so(strategy: str, typed: dict[str, str], fault: str) -> None:
    with pytest.raises(InvalidInput, match=fault):
        order_of(strategy, "fraud", fields=fields(strategy, **typed))


def test_percents_and_ladders_are_those_of_the_command_line() -> None:
    assert [basis_points(text) for text in ("5", "5%", "0.1%", "0.010", "100", "100.00", "33.33%")] == [
        *(500, 500, 10, 1, 10_000, 10_000, 3_333),
    ]
    for wrong in ("", "x", "-1", "100.01", "0.001", "1e2", "٥"):
        with pytest.raises(InvalidInput):
            basis_points(wrong)
    assert rungs("5", "20!,50") == {"percent_bp": 500, "steps_bp": [2000, 5000], "holds_bp": [2000]}
    assert rungs(None, "1!, 5") == {"percent_bp": 100, "steps_bp": [500], "holds_bp": [100]}
    assert rungs(None, None) == {}


def test_answers_are_compared_field_by_field_those_that_differ_first() -> None:
    found = beside(body(b'{"a": 1, "b": "x", "c": null}'), body(b'{"a": 1, "b": "y", "d": true}'))
    assert found is not None
    assert [(one.path, one.kind) for one in found.fields] == [("b", "value"), ("c", "missing"), ("d", "extra"), ("a", "equal")]
    assert found.different == 3
    assert beside(body(b"{}"), body(b"<html>")) is None
    assert beside(body(b"{}"), body(b"{", 900)) is None


def test_a_body_is_shown_as_far_as_it_can_be() -> None:
    assert text_of(body(b'{"a":1}')) == '{\n  "a": 1\n}'
    assert text_of(body(b"\xff\x00plain")) == "\ufffd\x00plain"
