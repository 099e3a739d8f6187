"""docs/schema.md against the database: every column has its line, every view answers the questions that its examples ask."""

import re
from pathlib import Path

import pytest
from sqlalchemy import insert, inspect, text

from modelctl.store import tables
from modelctl.store.engine import connect, reading, writing
from tests.recorder.stream import Recording, answer, mixed, register, served

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "schema.md").read_text()
VIEWS = ("prediction_outcome", "disagreement", "arm_hour", "arm_latency", "arm_accuracy")
MINUTE = 60_000_000


def section(heading: str) -> str:
    """What stands below a heading, up to the next one."""
    found = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^#|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, heading
    return found[1]


def lines_of(heading: str) -> list[list[str]]:
    """The cells of the section's table."""
    rows = [line.strip("|").split("|") for line in section(heading).splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def examples_of(view: str) -> list[str]:
    """The queries of a view's section."""
    return re.findall(r"```sql\n(.*?)```", section(f"View `{view}`"), re.DOTALL)


@pytest.mark.parametrize("table", sorted(tables.rollup.metadata.tables))
def test_every_column_of_a_table_has_its_line_with_unit_and_meaning(table: str) -> None:
    documented = lines_of(f"`{table}`")
    assert [row[0].strip("`") for row in documented] == [column.name for column in tables.rollup.metadata.tables[table].columns]
    assert all(len(row) == 3 and all(row) for row in documented)
    assert "Written by: " in section(f"`{table}`")


def test_no_section_is_about_a_table_or_a_view_that_does_not_exist() -> None:
    assert set(re.findall(r"^## `(\w+)`", PAGE, re.MULTILINE)) == set(tables.rollup.metadata.tables)
    assert tuple(re.findall(r"^## View `(\w+)`", PAGE, re.MULTILINE)) == VIEWS


def test_every_view_has_the_columns_that_are_documented(database_url: str) -> None:
    engine = connect(database_url)
    assert sorted(inspect(engine).get_view_names()) == sorted(VIEWS)
    for view in VIEWS:
        columns = [column["name"] for column in inspect(engine).get_columns(view)]
        assert [row[0].strip("`") for row in lines_of(f"View `{view}`")] == columns
    engine.dispose()


def test_every_example_finds_something_in_a_recorded_stream(database_url: str) -> None:
    _record(database_url)
    for view in VIEWS:
        assert len(examples_of(view)) == 2
        for query in examples_of(view):
            assert _ask(database_url, query), query


def test_the_views_count_what_was_recorded(database_url: str) -> None:
    _record(database_url)
    hours = _ask(database_url, "SELECT SUM(requests), SUM(errors) FROM arm_hour")
    counted = "role <> '' AND reason <> 'preview' AND outcome NOT IN ('cancelled', 'switched')"
    failed = "SUM(CASE WHEN outcome IN ('backend_error', 'timeout') THEN 1 ELSE 0 END)"
    assert hours == _ask(database_url, f"SELECT COUNT(*), {failed} FROM prediction WHERE {counted}")  # noqa: S608  (our own words)
    assert _ask(database_url, "SELECT labels, correct, accuracy FROM arm_accuracy WHERE arm = 'new' AND basis = 'answers'") == [
        (200, 150, 0.75)
    ]
    differing = "SELECT COUNT(*) FROM pair WHERE agree = 0 AND duplicate = 0"
    assert _ask(database_url, "SELECT COUNT(*) FROM disagreement") == _ask(database_url, differing)
    (moment,) = _ask(database_url, "SELECT answered_at, hour FROM prediction_outcome, arm_hour ORDER BY id, hour LIMIT 1")
    assert moment == ("2025-10-09 08:53:20", "2025-10-09 08:00:00")


def test_quantiles_of_latency_are_within_one_percent_of_the_recorded_ones(database_url: str) -> None:
    _record(database_url)
    ((answers, *quantiles),) = _ask(
        database_url, "SELECT answers, p50_ms, p90_ms, p95_ms, p99_ms FROM arm_latency WHERE arm = 'new' AND rollout = 1"
    )
    assert answers == 1000
    # Latencies of 1, 2, ... 1,000 ms: the q-th quantile is 1,000 q ms.
    assert quantiles == pytest.approx([500, 900, 950, 990], rel=0.0101)


def _record(url: str) -> None:
    """A mixed stream, then a thousand answers of `new` past the first minute, and the truth about two hundred of them."""
    register(url)
    slow = [served(7_000 + number, answer("new", "cat", latency=number * 1_000)) for number in range(1, 1_001)]
    recording = Recording(url)
    recording.take(mixed(100))
    recording.take(slow)
    with writing(recording.engine) as connection:
        truths = [{"request_id": f"request-{7_000 + n}", "label": "cat" if n % 4 else "dog"} for n in range(1, 201)]
        rows = [{"request_id": one["request_id"], "value_label": one["label"], "source": "", "at": 1} for one in truths]
        connection.execute(insert(tables.feedback), rows)
    recording.join()
    recording.engine.dispose()


def _ask(url: str, query: str) -> list[tuple[object, ...]]:
    engine = connect(url)
    with reading(engine) as connection:
        found = [tuple(row) for row in connection.execute(text(query))]
    engine.dispose()
    return found
