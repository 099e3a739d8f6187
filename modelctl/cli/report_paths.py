"""Intervals over time, differences, latency on the same requests, history and digests of a report, in a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from modelctl.cli.figures import drawn_between, figure
from modelctl.cli.harm import amount
from modelctl.cli.output import line, table
from modelctl.cli.quantities import count, milliseconds, moment, number
from modelctl.cli.report_answer import Report
from modelctl.cli.report_parts_answer import DifferenceSample, Look, OverTime

LOOKS = 6
SERIES = 4
EVENTS = 10
_BARS = " ▁▂▃▄▅▆▇█"


def over_time_parts(report: Report) -> Iterator[RenderableType]:
    """How the intervals that decide came about, at a few of the looks, all on one scale."""
    shown = [one for one in report.over_time if one.looks][:SERIES]
    if not shown:
        return
    yield line("\nThe interval over time", style="bold")
    for stage in report.stages_opened:
        yield line(f"stage from {moment(stage.at * 1_000)}: {stage.title}")
    for one in shown:
        yield line(one.sentence)
        if one.note:
            yield line(one.note)
        yield _looks(one)
    if report.without_path:
        yield line(report.without_path)


def _looks(one: OverTime) -> RenderableType:
    chosen = _spread(one.looks)
    ends = [end for look in chosen for end in (look.lower, look.upper) if end is not None]
    mark = one.margin if one.margin is not None else one.null
    ends += [] if mark is None else [mark]
    span = (min(ends), max(ends)) if ends else None
    rows = [
        [
            moment(look.at * 1_000),
            count(look.n),
            f"{_told(one, look.lower)} to {_told(one, look.upper)}",
            drawn_between(look.lower, look.estimate, upper=look.upper, null=mark, span=span),
            look.finding,
        ]
        for look in chosen
    ]
    named = "| MARGIN" if one.margin is not None else "| NO DIFFERENCE" if mark is not None else ""
    return table(["TIME", "N", "INTERVAL", named, "FINDING"], rows, right=["N"], whole=[named])


def _told(one: OverTime, value: float | None) -> str:
    if value is None:
        return "unbounded"
    return amount(value, one.unit) if one.gate else figure(value, one.unit)


def _spread(looks: Sequence[Look]) -> list[Look]:
    """The first, the last, and some between."""
    last = len(looks) - 1
    places = {round(place * last / (LOOKS - 1)) for place in range(LOOKS)}
    return [looks[place] for place in sorted(places)]


def difference_lines(found: Sequence[DifferenceSample]) -> Iterator[Text]:
    """The newest differences, and how many there are of each size."""
    for one in found:
        yield line(f"{one.candidate}: {one.sentence}")
        most = max((each.n for each in one.bins), default=0)
        if most:
            # A bin with anything in it is seen.
            bars = "".join(_BARS[-(-each.n * (len(_BARS) - 1) // most)] for each in one.bins)
            yield line(f"{number(one.bins[0].low)} [{bars}] {number(one.bins[-1].high)}")


def paired_latency_lines(report: Report) -> Iterator[Text]:
    """Both sides of the pairs: the same requests, so the two can be set against each other."""
    for one in report.curves:
        if one.of:
            values = " · ".join(f"p{float(q) * 100:g} {milliseconds(ms)}" for q, ms in one.quantiles.items())
            yield line(f"on the same requests: {one.arm} {values} (n {count(one.n)})")


def history_parts(report: Report) -> Iterator[RenderableType]:
    """Who did what, and how somebody else comes to the same page."""
    rows = [[moment(event.at), event.actor, event.action, event.reason or "-"] for event in report.audit[:EVENTS]]
    if rows:
        yield line("\nHistory", style="bold")
        yield table(["TIME", "WHO", "WHAT", "WHY"], rows)
    origin = report.reproduction
    if origin is not None:
        yield line("\nTo come to the same page", style="bold")
        yield line(
            f"modelctl {origin.version} · engine {origin.engine} · error level {origin.alpha_rollback:g} for rollback, "
            f"{origin.alpha_promote:g} for promotion"
        )
        yield line(f"evidence sha256 {origin.evidence_sha256} ({count(origin.sums)} sums) · terms sha256 {origin.terms_sha256}")
        yield from (line(f"  {command}") for command in origin.commands)
