"""The report in a terminal, in the order people decide by: verdict, funnel, decision table, answers, latency, examples, feedback.

Nothing is told by colour alone: a finding is a word, an interval has its numbers beside its picture.
"""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from modelctl.cli.funnel import funnel_lines
from modelctl.cli.output import line, plain, table
from modelctl.cli.quantities import count, duration, moment, number, percent, rate
from modelctl.cli.report_answer import Confusion, Numbers, Report, Trust
from modelctl.cli.report_details import companion_lines, detail_parts, method_lines, truth_parts
from modelctl.cli.report_examples import standing_out_parts
from modelctl.cli.report_paths import difference_lines, history_parts, over_time_parts, paired_latency_lines
from modelctl.cli.report_tables import (
    confusion_table,
    decision_table,
    feedback_table,
    gate_table,
    latency_table,
    outcome_table,
    worst_table,
)

NO_NOISE_FLOOR = (
    "\nNoise floor: not measured · `modelctl shadow --noise-control 10` asks the baseline twice, to see how alike it is to itself"
)
VERDICT_STYLES = {"promote": "bold green", "rollback": "bold red", "invalid": "bold red", "no-data": "bold yellow"}


def report_sections(report: Report) -> RenderableType:
    """The whole report."""
    return Group(*_parts(report))


def _parts(report: Report) -> Iterator[RenderableType]:
    yield from _head(report)
    yield from standing_out_parts(report)
    yield from _trust(report.trust)
    for funnel in report.funnels:
        yield from map(line, funnel_lines(funnel))
    gates = gate_table(report.rows)
    if gates is not None:
        yield from _section("Gates", gates)
    yield from _section("Decision table", decision_table(report.rows), empty="nothing is compared yet")
    yield from method_lines(report.rows)
    yield from companion_lines(report.rows)
    yield from _needs(report)
    yield from over_time_parts(report)
    for confusion in report.confusions:
        yield from _section(
            f"Labels: {report.rollout.baseline} (rows) against {confusion.candidate} (columns)", confusion_table(confusion)
        )
        yield line(confusion_sentence(confusion))
    for numbers in report.numbers:
        yield from _section(f"Numbers: {numbers.candidate} minus {report.rollout.baseline}", line(numbers_sentence(numbers)))
    yield from difference_lines(report.differences)
    yield from _section("Latency", latency_table(report.latencies), empty="no answers yet")
    yield from paired_latency_lines(report)
    yield from _section("Answers to clients", outcome_table(report.outcomes), empty="no answers yet")
    yield from detail_parts(report.details)
    if not report.details.noise and report.funnels:
        yield line(NO_NOISE_FLOOR)
    yield from _section("Worst disagreements", worst_table(report.worst), empty="none recorded")
    if report.worst:
        yield line(f"side by side, and as curl: modelctl report {report.route} --rollout {report.rollout.id} --worst")
    yield from _section("Feedback", feedback_table(report.feedback), empty="none yet · modelctl feedback send REQUEST-ID VALUE")
    yield from truth_parts(report.details)
    yield from history_parts(report)


def _section(title: str, body: RenderableType | None, *, empty: str = "") -> Iterator[RenderableType]:
    yield line(f"\n{title}", style="bold")
    yield line(empty) if body is None else body


def _head(report: Report) -> Iterator[Text]:
    rollout, verdict = report.rollout, report.verdict
    candidates = ", ".join(rollout.candidates)
    yield Text.assemble((verdict.word.upper(), VERDICT_STYLES.get(verdict.word, "bold")), f"  {plain(verdict.sentence)}")
    yield line(
        f"{rollout.strategy} of {candidates} against {rollout.baseline} on route {report.route} · rollout {rollout.id}, "
        f"{rollout.phase}, {rollout.steps[rollout.step] if rollout.steps else 'no step'}"
    )
    yield line(f"evidence: {_age(report)}" + (f" · {verdict.margins}" if verdict.margins else ""))
    if verdict.commands:
        yield line(f"next: {' · '.join(verdict.commands)}")


def _age(report: Report) -> str:
    if report.evidence_at is None:
        return "none yet"
    # The newest minute may not be over: its end then lies ahead.
    newest = min(report.evidence_at, report.generated_at)
    return f"up to {moment(newest)}, {duration((report.generated_at - newest) / 1_000_000)} old"


def _trust(trust: Trust) -> Iterator[RenderableType]:
    evidence = "infinite" if trust.log10_e is None else number(trust.log10_e)
    state = "not as assigned: results cannot be trusted" if trust.blocked else "nothing wrong found"
    yield line(f"split check: {state} (log10 E {evidence}; 3 or more is a fault)")
    yield from (line(f"note: {sentence}") for sentence in trust.notes)
    stages = [
        [
            str(stage.id),
            moment(stage.opened_at * 1000),
            moment(stage.closed_at * 1000),
            arm,
            percent(share),
            percent(stage.shown.get(arm, 0)),
            count(stage.requests.get(arm, 0)),
        ]
        for stage in trust.stages
        for arm, share in stage.answers.items()
    ]
    if stages:
        columns = ["STAGE", "FROM", "TO", "ARM", "ANSWERS", "SHOWN", "REQUESTS"]
        yield table(columns, stages, right=["STAGE", "ANSWERS", "SHOWN", "REQUESTS"])


def _needs(report: Report) -> Iterator[Text]:
    yield from (line(f"open: {need}") for need in report.verdict.needs)


def confusion_sentence(confusion: Confusion) -> str:
    """How often both say the same, beyond chance, and what changes most."""
    parts = [f"{rate(confusion.equal)} of {count(confusion.n)} have the same label"]
    if confusion.kappa is not None:
        between = f"{number(confusion.kappa_lower)} to {number(confusion.kappa_upper)}"
        parts.append(f"kappa {number(confusion.kappa)} ({between}, valid for one look)")
    elif confusion.reason:
        parts.append(f"no kappa: {confusion.reason}")
    if confusion.uncounted:
        parts.append(f"{count(confusion.uncounted)} more had too many different labels to count")
    parts += [f"{move.baseline} -> {move.candidate} {count(move.n)} times" for move in confusion.moves[:3]]
    return " · ".join(parts)


def numbers_sentence(numbers: Numbers) -> str:
    """The mean difference and the range of most differences."""
    means = f"mean {number(numbers.baseline_mean)} -> {number(numbers.candidate_mean)}"
    limits = f"95% of the differences lie from {number(numbers.lower_limit)} to {number(numbers.upper_limit)}"
    return f"{count(numbers.n)} pairs · {means} · mean difference {number(numbers.bias)} · {limits}"
