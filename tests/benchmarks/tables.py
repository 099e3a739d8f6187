"""The figures as Markdown tables for docs/performance.md: medians of the rounds, cheapest first."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tests.benchmarks.contestants import OURS
from tests.benchmarks.figures import Run, Runs, middle, middle_of, ratio
from tests.benchmarks.open_loop import SHARES
from tests.benchmarks.ours import ROUTER

BASE = "envoy"
_RECORDER = "modelctl.recorder"


class Row(NamedTuple):
    """A line of a table. `part` limits measures by part; `main` says that values of the whole stand here too."""

    title: str
    runs: Sequence[Run]
    part: str = ""
    main: bool = True


class Column(NamedTuple):
    """`text` is what stands in the cell of a row."""

    title: str
    text: Callable[[Row, Runs], str]


def number(value: float, digits: int = 0) -> str:
    """`1,234.5`."""
    return f"{value:,.{digits}f}"


def measured(title: str, name: str, *, digits: int = 1) -> Column:
    """A measure by part."""
    return Column(title, lambda row, runs: number(middle_of(row.runs, name, part=row.part), digits))


def beside(title: str, name: str) -> Column:
    """The ratio of a measure to that of Envoy."""
    return Column(title, lambda row, runs: number(ratio(row.runs, runs[BASE], name=name, part=row.part), 2) if BASE in runs else "")


def value(title: str, name: str, *, digits: int = 0) -> Column:
    """A value of the whole."""
    return Column(title, lambda row, runs: number(middle(row.runs, name), digits) if row.main else "")


def _total(title: str, name: str) -> Column:
    return Column(title, lambda row, runs: number(sum(run.values[name] for run in row.runs)) if row.main else "")


_CPU = (measured("CPU µs", "cpu"), beside("x Envoy", "cpu"))
_SPEED = (value("requests/s", "per_second"), value("p50 µs", "p50"), value("p99 µs", "p99"))
_END = (measured("MiB", "memory", digits=0), _total("failed", "failed"))
CLOSED = (*_CPU, *_SPEED, *_END)
EVENTS = (
    measured("CPU µs per event", "cpu"),
    beside("x Envoy", "cpu"),
    value("added delay p50 µs", "added50"),
    value("p99 µs", "added99"),
    measured("flood: CPU µs per event", "flood", digits=2),
    beside("x Envoy", "flood"),
    value("events/s", "per_second"),
    value("events per read", "per_read", digits=1),
    measured("MiB", "memory", digits=0),
)
MEMORY = (
    measured("idle MiB", "idle", digits=0),
    measured("after load MiB", "loaded", digits=0),
    measured("KiB per idle connection", "connection"),
)
OPEN = tuple(
    column
    for share in SHARES
    for column in (
        value(f"{share} %: p50 µs", f"p50@{share}"),
        value("p99", f"p99@{share}"),
        value("p99.9", f"p999@{share}"),
        _total("failed", f"failed@{share}"),
    )
)


def _rows(runs: Runs, titles: Mapping[str, str], *, by: str) -> list[Row]:
    """By a measure, the cheapest first; what else our tree costs stands at the end. Without a measure: as they come."""
    peers = [Row(titles[name], found) for name, found in runs.items() if name != OURS]
    if OURS not in runs:
        own, rest = [], []
    elif by:
        own = [Row("**modelctl, router worker**", runs[OURS], ROUTER)]
        rest = [Row("modelctl, whole tree", runs[OURS], main=False), Row("of it: recorder", runs[OURS], _RECORDER, main=False)]
    else:
        own, rest = [Row("**modelctl**", runs[OURS])], []
    first = peers + own
    return (sorted(first, key=lambda row: middle_of(row.runs, by, part=row.part)) if by else first) + rest


def table(heading: str, columns: Sequence[Column], *, runs: Runs, titles: Mapping[str, str], by: str = "cpu") -> str:
    """One table, ordered `by` a measure."""
    lines = [[heading, *(column.title for column in columns)], ["---"] * (len(columns) + 1)]
    lines += [[row.title, *(column.text(row, runs) for column in columns)] for row in _rows(runs, titles, by=by)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
