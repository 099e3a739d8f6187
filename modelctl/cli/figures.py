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
    """A row's interval against no difference; empty when there is no such place, or no estimate."""
    if row.null is None or row.estimate is None:
        return ""
    return drawn_between(row.lower, row.estimate, upper=row.upper, null=row.null)


def drawn_between(
    lower: float | None,
    estimate: float | None,
    *,
    upper: float | None,
    null: float | None,
    span: tuple[float, float] | None = None,
) -> str:
    """The interval as `--o--` on a line with `|` at `null`, `+` when the estimate is there too; the line is as long as `span`.

    Empty when the interval is infinite or has no width.
    """
    if lower is None or upper is None:
        return ""
    marks = [value for value in (null,) if value is not None]
    low, high = span or (min(lower, *marks), max(upper, *marks)) if marks or span else (lower, upper)
    width = high - low
    if not 0 < width < float("inf"):
        return ""
    cells = [" "] * _CELLS

    def place(value: float) -> int:
        return min(_CELLS - 1, max(0, round((value - low) / width * (_CELLS - 1))))

    for cell in range(place(lower), place(upper) + 1):
        cells[cell] = "-"
    for value in marks:
        cells[place(value)] = "|"
    if estimate is not None:
        cells[place(estimate)] = "+" if marks and place(estimate) == place(marks[0]) else "o"
    return "".join(cells).rstrip()
