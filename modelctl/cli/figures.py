"""Figures of a report as text: a number in its unit, an interval, and an interval drawn on a line."""

from modelctl.cli.quantities import number
from modelctl.cli.report_answer import Row

_CELLS = 25


def figure(value: float | None, unit: str) -> str:
    """A number in a row's unit: a share as percent, a ratio as a factor."""
    if value is None:
        return "-"
    return f"{value * 100:.3g}%" if unit == "share" else f"{number(value)}x" if unit == "ratio" else number(value)


def interval(row: Row) -> str:
    """`lower to upper`; a bound that is infinite is said so."""
    if row.lower is None and row.upper is None:
        return "-"
    low = "unbounded" if row.lower is None else figure(row.lower, row.unit)
    high = "unbounded" if row.upper is None else figure(row.upper, row.unit)
    return f"{low} to {high}"


def drawn(row: Row) -> str:
    """The interval as `--o--` on a line with `|` where there is no difference, `+` when the estimate is there too.

    Empty when there is no such place, or when the interval is infinite.
    """
    if row.lower is None or row.upper is None or row.estimate is None or row.null is None:
        return ""
    low, high = min(row.lower, row.null), max(row.upper, row.null)
    width = high - low
    if width <= 0:
        return ""
    cells = [" "] * _CELLS

    def place(value: float) -> int:
        return min(_CELLS - 1, max(0, round((value - low) / width * (_CELLS - 1))))

    for cell in range(place(row.lower), place(row.upper) + 1):
        cells[cell] = "-"
    cells[place(row.null)] = "|"
    cells[place(row.estimate)] = "+" if place(row.estimate) == place(row.null) else "o"
    return "".join(cells).rstrip()
