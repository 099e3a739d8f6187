"""Percents, durations and shares as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.cli.quantities import (
    basis_points,
    duration,
    ladder,
    milliseconds,
    percent,
    ration,
    seconds,
    shares,
    shown_duration,
    shown_size,
    size,
    whole_milliseconds,
)
from modelctl.errors import InvalidInput


@given(st.integers(0, 10_000))
def test_every_basis_point_can_be_typed_and_reads_back_as_itself(points: int) -> None:
    assert basis_points(percent(points)) == points
    assert basis_points(percent(points).rstrip("%")) == points


@given(st.integers(0, 10_000), st.integers(0, 3))
def test_zeros_at_the_end_do_not_change_a_percent(points: int, zeros: int) -> None:
    assert basis_points(f"{points // 100}.{points % 100:02d}{'0' * zeros}%") == points


@given(st.text(max_size=12))
def test_any_text_is_a_share_from_0_to_100_percent_or_refused(text: str) -> None:
    try:
        points = basis_points(text)
    except InvalidInput:
        return
    assert 0 <= points <= 10_000
    assert float(text.rstrip("%")) == pytest.approx(points / 100)


@given(st.integers(0, 99_999).filter(lambda thousandths: thousandths % 10))
def test_a_share_finer_than_a_hundredth_of_a_percent_is_refused(thousandths: int) -> None:
    with pytest.raises(InvalidInput, match=r"the smallest share is 0\.01%"):
        basis_points(f"{thousandths // 1000}.{thousandths % 1000:03d}")


@pytest.mark.parametrize(
    "text", ["", "%", "-5", "5%%", "five", "1e1", "5 %", ".5", "5.", "٥", "nan", "100.01", "101", "9999999999999"]
)
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        basis_points(text)


def test_a_ladder_is_several_percents() -> None:
    assert ladder("5,25%, 50") == [500, 2500, 5000]


def test_shares_of_a_test_are_named_and_add_up_to_all() -> None:
    assert shares(["a=50", "b=30%", "c=20"]) == {"a": 5000, "b": 3000, "c": 2000}


@pytest.mark.parametrize("parts", [["a=50", "b=30"], ["a=50", "a=50"], ["a=", "b=100"], ["=50", "b=50"], ["a", "b=100"]])
def test_shares_that_are_incomplete_or_double_are_refused(parts: list[str]) -> None:
    with pytest.raises(InvalidInput):
        shares(parts)


@pytest.mark.parametrize(("text", "value"), [("30s", 30), ("10m", 600), ("7d", 604_800), ("1h30m", 5_400), ("500ms", 0.5)])
def test_durations_are_numbers_with_units(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "10", "m", "10 m", "-1s", "1.5h", "10x", "10m!"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no duration"):
        seconds(text)


@given(st.integers(1, 10**8))
def test_a_duration_reads_back_as_no_more_than_it_was_and_close_to_it(value: int) -> None:
    read = seconds(duration(value).replace(" ", ""))
    assert read <= value
    assert value - read < 3_600 or value - read < value * 0.05


@pytest.mark.parametrize(("value", "text"), [(None, "-"), (0.4213, "0.42 ms"), (4.21, "4.2 ms"), (1250.4, "1,250 ms")])
def test_latencies_show_the_digits_that_say_something(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(
    ("text", "found"), [("0", 0), ("4096", 4096), ("64KiB", 65_536), ("10MiB", 10 << 20), ("1GiB", 1 << 30), ("0MiB", 0)]
)
def test_a_size_is_bytes_or_in_powers_of_1024(text: str, found: int) -> None:
    assert size(text) == found


@given(st.integers(0, 1 << 50))
def test_every_size_that_is_shown_reads_back_as_itself(value: int) -> None:
    assert size(shown_size(value)) == value


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1.5MiB", "10 MiB", "10MB", "10mib", "٥", "1e3", "99999999999999999"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no size"):
        size(text)


@pytest.mark.parametrize(
    ("text", "found"), [("100/60s", (100, 60)), ("5/s", (5, 1)), ("1000/1h", (1000, 3600)), ("9/m", (9, 60)), ("1/1m30s", (1, 90))]
)
def test_a_rate_is_requests_in_whole_seconds(text: str, found: tuple[int, int]) -> None:
    assert ration(text) == found


@pytest.mark.parametrize("text", ["", "100", "100/", "/s", "100/500ms", "1/1500ms", "-1/s", "x/s", "1/x", "٥/s", "1/0s", "1/s/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no (rate|duration)"):
        ration(text)


@pytest.mark.parametrize(("text", "found"), [("500ms", 500), ("10s", 10_000), ("1h30m", 5_400_000)])
def test_a_duration_is_whole_milliseconds(text: str, found: int) -> None:
    assert whole_milliseconds(text) == found


@pytest.mark.parametrize(("value", "shown"), [(1_000, "1s"), (2_500, "2.5s"), (90_000, "1m 30s"), (250, "0.25s")])
def test_milliseconds_are_shown_as_people_type_them(value: int, shown: str) -> None:
    assert shown_duration(value) == shown
