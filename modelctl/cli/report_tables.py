"""The tables of a report. An interval has its numbers beside its picture, a finding is a word."""

from collections.abc import Sequence

from rich.table import Table

from modelctl.cli.figures import drawn, figure, interval
from modelctl.cli.harm import amount, harm_interval
from modelctl.cli.output import table
from modelctl.cli.quantities import count, milliseconds, number, rate
from modelctl.cli.report_answer import Accuracy, Confusion, Latency, Outcomes, Row
from modelctl.cli.report_parts_answer import Disagreement

_LONGEST = 60


def decision_table(rows: Sequence[Row]) -> Table | None:
    """Every comparison with its interval, in numbers and below them drawn; None without any."""
    columns = ["METRIC", "BASELINE", "CANDIDATE", "DIFFERENCE", "INTERVAL (| NO DIFFERENCE)", "FINDING", "N"]
    cells = [[_named(row, rows), *_decision_cells(row)] for row in rows]
    return table(columns, cells, right=columns[1:4], whole=columns[4:5]) if rows else None


def gate_table(rows: Sequence[Row]) -> Table | None:
    """Every declared gate: its role, the harm that is still possible against the margin, and what would change its state."""
    columns = ["GATE", "ROLE", "HARM (ALWAYS VALID)", "MARGIN", "STATE", "N", "FORECAST"]
    declared = [row for row in rows if row.gate]
    cells = [
        [
            _named(row, rows),
            row.role,
            _harm(row),
            "-" if row.margin is None else amount(row.margin, row.margin_unit),
            f"{row.finding}: {row.reason}" if row.reason else row.finding,
            f"{count(row.n)} {row.counts}",
            row.forecast or "-",
        ]
        for row in declared
    ]
    return table(columns, cells, right=columns[2:4]) if declared else None


def _harm(row: Row) -> str:
    known = row.harm_lower is not None or row.harm_upper is not None
    return harm_interval(row.harm_lower, row.harm_upper, unit=row.margin_unit) if known else "-"


def _named(row: Row, rows: Sequence[Row]) -> str:
    several = len({other.candidate_name for other in rows}) > 1
    return f"{row.candidate_name}: {row.title}" if several else row.title


def _decision_cells(row: Row) -> list[str]:
    # A ratio compares two rates, and these are shares.
    unit = "share" if row.unit == "ratio" else row.unit
    sides = [figure(row.baseline, unit), figure(row.candidate, unit), figure(row.estimate, row.unit)]
    return [*sides, f"{interval(row)}\n{drawn(row)}".rstrip(), finding(row), f"{count(row.n)} {row.counts}"]


def finding(row: Row) -> str:
    """What is proven about one metric, and why nothing is when nothing can be; what does not decide is said to be shown."""
    word = f"{row.finding} only" if row.role == "info" else row.finding
    return f"{word}: {row.reason}" if row.reason else word


def confusion_table(confusion: Confusion) -> Table:
    """How often the baseline said one label (rows) and the candidate another (columns)."""
    rows = [[label, *map(count, counts)] for label, counts in zip(confusion.labels, confusion.counts, strict=True)]
    return table(["", *confusion.labels], rows, right=confusion.labels)


def latency_table(latencies: Sequence[Latency]) -> Table | None:
    """Quantiles with their intervals, for requests an arm answered and was shown; None without any."""
    quantiles = [f"p{quantile.q * 100:g}" for quantile in latencies[0].quantiles] if latencies else []
    cells = [
        [one.arm, "shown" if one.shown else "answered", count(one.n)]
        + [
            f"{milliseconds(q.value)} ({milliseconds(q.lower)} to {milliseconds(q.upper)})" if q.enough else "too few"
            for q in one.quantiles
        ]
        for one in latencies
    ]
    return table(["ARM", "REQUESTS IT", "N", *quantiles], cells, right=["N"]) if latencies else None


def outcome_table(outcomes: Sequence[Outcomes]) -> Table | None:
    """How each arm's answers to clients ended."""
    cells = [
        [
            one.arm,
            count(one.n),
            " · ".join(f"{name} {count(n)}" for name, n in one.counts.items()) or "-",
            count(one.failures),
            rate(one.failure_rate),
        ]
        for one in outcomes
    ]
    return table(["ARM", "N", "OUTCOMES", "FAILURES", "RATE"], cells, right=["N", "FAILURES", "RATE"]) if outcomes else None


def worst_table(worst: Sequence[Disagreement]) -> Table | None:
    """The requests that were answered most differently, side by side."""
    cells = [
        [
            one.request_id,
            one.candidate,
            _short(one.baseline_prediction),
            _short(one.candidate_prediction),
            number(one.difference),
            _short(one.request_preview),
        ]
        for one in worst
    ]
    columns = ["REQUEST", "OF", "BASELINE SAID", "CANDIDATE SAID", "DIFFERENCE", "REQUEST BODY"]
    return table(columns, cells, right=["DIFFERENCE"]) if worst else None


def feedback_table(feedback: Sequence[Accuracy]) -> Table | None:
    """Each arm against what turned out to be true."""
    cells = [
        [
            one.arm,
            "shown" if one.shown else "answered",
            f"{count(one.correct)} of {count(one.labels)}",
            rate(one.accuracy),
            count(one.numbers),
            number(one.mean_absolute_error),
        ]
        for one in feedback
    ]
    columns = ["ARM", "REQUESTS IT", "RIGHT LABELS", "ACCURACY", "NUMBERS", "MEAN ABSOLUTE ERROR"]
    return table(columns, cells, right=columns[2:]) if feedback else None


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 1]}…"
