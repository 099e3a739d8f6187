"""What stands out, intervals drawn against their margins, their paths, and examples to ask again, as Markdown. Pure."""

import re
from collections.abc import Iterator, Sequence

from modelctl.controlplane.figures.svg import cut
from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.figures import amount, figure
from modelctl.controlplane.report.content import Report
from modelctl.controlplane.report.disagreement import Disagreement
from modelctl.controlplane.report.drawn import between, clock, harm_words
from modelctl.controlplane.report.markdown_text import code, escaped, prose, table
from modelctl.controlplane.report.over_time import OverTime, harm_estimate
from modelctl.controlplane.report.standing_out import StandsOut

CELLS = 41
LOOKS = 6
SERIES = 4
NOISE_OFF = "Not measured: `modelctl shadow --noise-control 10` asks the baseline twice, to see how alike it is to itself."


def standing_out_lines(report: Report) -> Iterator[str]:
    """The first screen: the slice, its interval, three examples, and the command that opens them. The first has them unfolded."""
    if not report.standing_out.sentence:
        return
    yield from ("", "## What stands out", "", prose(report.standing_out.sentence))
    for place, one in enumerate(report.standing_out.first):
        yield from _stands_out(one, whole=place == 0)


def _stands_out(one: StandsOut, *, whole: bool) -> Iterator[str]:
    measure = one.slice.measure
    yield from ("", f"### {code(f'{one.dimension} {one.value}')}", "", prose(one.slice.sentence))
    yield from ("", f"Interval: {between(measure.lower, measure.upper, unit=measure.unit)}, from {measure.n:,} {measure.counts}.")
    for sentence in one.also:
        yield from ("", prose(sentence))
    if one.examples is None:
        return
    yield from ("", "Open the examples:", "", *_fenced(one.examples.command))
    for found in one.examples.found if whole else ():
        yield from example_lines(found)


def example_lines(one: Disagreement) -> Iterator[str]:
    """One example, folded."""
    sides = (("request", one.request_preview), ("baseline", one.baseline_preview), (one.candidate, one.candidate_preview))
    yield from ("", "<details>", f"<summary>{_summary(one)}</summary>", "")
    if one.redacted:
        yield from ("Redacted before it was recorded.", "")
    for name, text in sides:
        if text:
            yield from (f"{name}:", "", *_fenced(text), "")
    if one.remark:
        yield from (f"{one.remark}.", "")
    for again in one.commands:
        yield from (f"ask {again.backend} again:", "", *_fenced(again.command), "")
    yield "</details>"


def forest_lines(rows: Sequence[Row]) -> Iterator[str]:
    """Every declared gate's harm on a line of margins from -2 to 3: `|` no harm, `!` the margin, arrows where it goes on."""
    gates = [row for row in rows if row.gate and row.margin and row.margin_unit != "rate" and row.finding != "no-data"]
    if not gates:
        return
    width = max(len(_name(row)) for row in gates)
    yield from ("", "```text", f"{'':{width}}  {_scale()}")
    for row in gates:
        said = f"{harm_words(row.harm_lower, row.harm_upper, unit=row.margin_unit)}, {row.finding}"
        yield f"{_name(row):{width}}  {_bar(row)}  {said}"
    yield "```"
    yield from ("", "Each bar is all the harm that is still possible, in margins, at any look: `|` is no harm, `!` the margin.")


def over_time_lines(report: Report) -> Iterator[str]:
    """How the intervals came about, at a few of the looks."""
    shown = [one for one in report.over_time if one.looks][:SERIES]
    if not shown:
        return
    yield from ("", "## The interval over time")
    for stage in report.stages_opened:
        yield from ("", f"- stage from {clock(stage.at)}: {stage.title}")
    for one in shown:
        yield from ("", " ".join(part for part in (one.sentence, one.note) if part), "")
        yield from table(("time (UTC)", "n", "interval", "finding"), _looks(one))
    if report.without_path:
        yield from ("", report.without_path)


def _looks(one: OverTime) -> Iterator[tuple[str, ...]]:
    last = len(one.looks) - 1
    for place in sorted({round(number * last / (LOOKS - 1)) for number in range(LOOKS)}):
        look = one.looks[place]
        low, high = (amount(end, one.unit) if one.gate else figure(end, one.unit) for end in (look.lower, look.upper))
        yield clock(look.at), f"{look.n:,}", f"{low} to {high}", look.finding


def sample_lines(report: Report) -> Iterator[str]:
    """The newest differences between numbers, and latency on the same requests."""
    for sample in report.differences:
        yield from ("", sample.sentence)
    curves = [one for one in report.curves if one.of]
    if curves:
        yield from ("", "On the same requests, in milliseconds:", "")
        quantiles = sorted({q for one in curves for q in one.quantiles}, key=float)
        rows = [(one.arm, f"{one.n:,}", *(_ms(one.quantiles.get(q)) for q in quantiles)) for one in curves]
        yield from table(("arm", "n", *(f"p{float(q) * 100:g}" for q in quantiles)), rows)


def reproduction_lines(report: Report) -> Iterator[str]:
    """What somebody else needs to come to the same page."""
    origin = report.reproduction
    if origin is None:
        return
    yield from ("", "## To come to the same page", "")
    yield f"- modelctl {origin.version}, rollout {origin.rollout} at revision {origin.revision}, unit {code(origin.unit)}"
    yield f"- engine {origin.engine}, error level {origin.alpha_rollback:g} for rollback, {origin.alpha_promote:g} for promotion"
    yield f"- evidence: {origin.sums:,} sums, sha256 `{origin.evidence_sha256}`; terms: sha256 `{origin.terms_sha256}`"
    for command in origin.commands:
        yield f"- `{command}`"


def _ms(value: float | None) -> str:
    return "too few" if value is None else f"{value:.3g}"


def _name(row: Row) -> str:
    return f"{row.candidate_name}: {row.title.partition(' (')[0]}"


def _scale() -> str:
    cells = [" "] * CELLS
    cells[_place(0.0)], cells[_place(1.0)] = "|", "!"
    return "".join(cells)


def _bar(row: Row) -> str:
    margin = row.margin or 1.0
    low, high = (end if end is None else end / margin for end in (row.harm_lower, row.harm_upper))
    middle = harm_estimate(row)
    cells = list(_scale())
    left, right = 0 if low is None else _place(low), CELLS - 1 if high is None else _place(high)
    cells[left : right + 1] = "-" * (right + 1 - left)
    if middle is not None and -2 <= middle / margin <= 3:
        cells[_place(middle / margin)] = "o"
    cells[left] = "<" if low is None or low < -2 else cells[left]
    cells[right] = ">" if high is None or high > 3 else cells[right]
    return "".join(cells)


def _place(margins: float) -> int:
    return min(CELLS - 1, max(0, round((margins + 2) / 5 * (CELLS - 1))))


def _summary(one: Disagreement) -> str:
    """In an element of HTML, so escaped as HTML is."""
    baseline = f"baseline said {one.baseline_prediction}, " if one.baseline_prediction else ""
    return escaped(cut(f"{one.request_id}: {baseline}{one.candidate} said {one.candidate_prediction}", 200))


def _fenced(text: str) -> tuple[str, ...]:
    """A block that nothing in it can end."""
    clean = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)
    longest = max((len(run) for run in re.findall(r"`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return (f"{fence}text", clean, fence)
