"""The report as Markdown: the same content, top to bottom, for a terminal, a pull request or a chat. Pure."""

from collections.abc import Iterator, Sequence

from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.figures import amount, figure, share
from modelctl.controlplane.judgement.funnel import STAGES
from modelctl.controlplane.report.content import Report, Trust
from modelctl.controlplane.report.details_markdown import companion_lines, detail_lines, method_link, truth_lines
from modelctl.controlplane.report.drawn import age, moment
from modelctl.controlplane.report.markdown_text import code, table
from modelctl.controlplane.report.parts_markdown import (
    NOISE_OFF,
    forest_lines,
    over_time_lines,
    reproduction_lines,
    sample_lines,
    standing_out_lines,
)
from modelctl.controlplane.report.shapes import Confusion, Latency


def markdown(report: Report) -> str:
    """Ends with a newline. What came from clients and models is shown as code, so that it cannot add markup."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    yield from _head(report)
    yield from standing_out_lines(report)
    yield from _trust(report.trust)
    yield from _funnels(report)
    yield from _gates(report.rows)
    yield from _decisions(report.rows)
    yield from over_time_lines(report)
    for confusion in report.confusions:
        yield from _confusion(confusion)
    yield from _numbers(report)
    yield from _latencies(report.latencies)
    yield from sample_lines(report)
    yield from _outcomes(report)
    yield from _feedback(report)
    yield from truth_lines(report.details)
    yield from detail_lines(report.details)
    if report.funnels and not report.details.noise:
        yield from ("", "## Noise floor", "", NOISE_OFF)
    yield from _worst(report)
    yield from _audit(report)
    yield from reproduction_lines(report)


def _head(report: Report) -> Iterator[str]:
    rollout, verdict = report.rollout, report.verdict
    yield f"# {report.route}: {verdict.word}"
    yield from ("", f"**{verdict.sentence}** {verdict.margins}".rstrip(), "")
    candidates = ", ".join(rollout.candidates)
    yield f"- rollout {rollout.id} ({rollout.phase}): {rollout.strategy} of {candidates} against {rollout.baseline}"
    if rollout.steps:
        yield f"- step {rollout.step + 1} of {len(rollout.steps)}: {rollout.steps[rollout.step]}"
    yield f"- evidence {age(report.evidence_at, report.generated_at)}, report of {moment(report.generated_at)}"
    for need in verdict.needs:
        yield f"- open: {need}"
    for command in verdict.commands:
        yield f"- possible: `{command}`"


def _trust(trust: Trust) -> Iterator[str]:
    yield from ("", "## Can the data be trusted?", "")
    state = (
        "does not match the shares: results are not to be trusted" if trust.blocked else "matches the shares, as far as can be told"
    )
    evidence = "infinite" if trust.log10_e is None else f"10^{trust.log10_e:.2f}"
    yield f"The split of requests {state} (evidence E = {evidence}, 1000 blocks)."
    yield ""
    yield from table(
        ("arm", "requests", "expected"), [(arm.arm, f"{arm.observed:,}", f"{arm.expected:,.1f}") for arm in trust.arms]
    )
    yield ""
    stages = [
        (str(stage.id), moment(stage.opened_at * 1000), _shares(stage.answers), _shares(stage.shown), _counts(stage.requests))
        for stage in trust.stages
    ]
    yield from table(("stage", "since", "answers", "shown", "requests"), stages)
    for note in trust.notes:
        yield from ("", note)


def _funnels(report: Report) -> Iterator[str]:
    if not report.funnels:
        return
    yield from ("", "## From requests to pairs", "")
    rows = [(one.candidate, *(f"{getattr(one, stage):,}" for stage in STAGES)) for one in report.funnels]
    yield from table(("candidate", *STAGES), rows)
    yield ""
    for one in report.funnels:
        for loss in one.losses:
            yield f"- {one.candidate}: {loss.n:,} not {loss.stage}: {loss.reason}"
        if one.fallback:
            yield f"- fallback: {one.fallback:,} requests of {one.candidate} answered by the baseline"


def _decisions(rows: Sequence[Row]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", "## Comparison", "")
    header = ("metric", "candidate", "baseline", "value", "effect", "interval", "n", "role", "method", "finding")
    yield from table(header, [_decision(row) for row in rows])
    yield from ("", "Intervals are valid at every look. Effects are candidate minus baseline, for ratios candidate over baseline.")
    yield from forest_lines(rows)
    yield from companion_lines(rows)


def _gates(rows: Sequence[Row]) -> Iterator[str]:
    """Every declared gate: the harm that is still possible against its margin, and what would change its state."""
    declared = [row for row in rows if row.gate]
    if not declared:
        return
    yield from ("", "## Gates", "")
    header = ("gate", "metric", "candidate", "role", "harm", "margin", "state", "n", "interval needs", "forecast")
    yield from table(header, [_gate(row) for row in declared])


def _gate(row: Row) -> tuple[str, ...]:
    harm = f"{amount(row.harm_lower, row.margin_unit)} to {amount(row.harm_upper, row.margin_unit)}"
    margin = "-" if row.margin is None else amount(row.margin, row.margin_unit)
    known = row.finding != "no-data"
    return (
        code(row.gate),
        row.title,
        row.candidate_name,
        row.role,
        harm if known else row.reason,
        margin,
        row.finding,
        f"{row.n:,} {row.counts}",
        row.needs or "-",
        row.forecast or "-",
    )


def _decision(row: Row) -> tuple[str, ...]:
    known = row.state == "ok"
    effect = "-" if row.estimate is None else figure(row.estimate, row.unit)
    interval = f"{figure(row.lower, row.unit)} to {figure(row.upper, row.unit)}" if known else row.reason
    values = (
        "-" if value is None else figure(value, "share" if row.unit == "ratio" else row.unit)
        for value in (row.baseline, row.candidate)
    )
    baseline, candidate = values
    return (
        row.title,
        row.candidate_name,
        baseline,
        candidate,
        effect,
        interval,
        f"{row.n:,} {row.counts}",
        row.role,
        method_link(row.method, row.source),
        row.finding,
    )


def _confusion(found: Confusion) -> Iterator[str]:
    kappa = (
        found.reason if found.kappa is None else f"{found.kappa:.3f} ({found.kappa_lower:.3f} to {found.kappa_upper:.3f}, one look)"
    )
    yield from ("", f"## Labels of {found.candidate}", "")
    yield f"{found.n:,} instances, {share(found.equal)} equal, kappa {kappa}. Rows are the baseline, columns the candidate."
    yield ""
    labels = [code(label) for label in found.labels]
    rows = [(label, *(f"{n:,}" for n in counts)) for label, counts in zip(labels, found.counts, strict=True)]
    yield from table(("", *labels), rows)
    yield ""
    for move in found.moves:
        yield f"- {code(move.baseline)} became {code(move.candidate)} {move.n:,} times"


def _numbers(report: Report) -> Iterator[str]:
    if not report.numbers:
        return
    yield from ("", "## Numbers of the same requests", "")
    rows = []
    for one in report.numbers:
        values = (one.baseline_mean, one.candidate_mean, one.bias, one.lower_limit, one.upper_limit)
        rows.append((one.candidate, f"{one.n:,}", *("-" if value is None else f"{value:.6g}" for value in values)))
    yield from table(("candidate", "pairs", "baseline mean", "candidate mean", "mean difference", "95% from", "95% to"), rows)


def _latencies(found: Sequence[Latency]) -> Iterator[str]:
    if not found:
        return
    yield from ("", "## Latency in milliseconds", "")
    rows = []
    for one in found:
        values = [f"{q.value:.3g}{'' if q.enough else ' (few)'}" if q.value is not None else "-" for q in one.quantiles]
        rows.append((one.arm, "shown" if one.shown else "answered", f"{one.n:,}", *values))
    yield from table(("arm", "requests it", "n", "p50", "p90", "p95", "p99"), rows)


def _outcomes(report: Report) -> Iterator[str]:
    yield from ("", "## Outcomes", "")
    rows = [
        (one.arm, f"{one.n:,}", _counts(one.counts), "-" if one.failure_rate is None else share(one.failure_rate))
        for one in report.outcomes
    ]
    yield from table(("arm", "answers", "by outcome", "failed"), rows)


def _feedback(report: Report) -> Iterator[str]:
    if not report.feedback:
        return
    yield from ("", "## Feedback", "")
    rows = []
    for one in report.feedback:
        right = "-" if one.accuracy is None else f"{share(one.accuracy)} of {one.labels:,}"
        error = "-" if one.mean_absolute_error is None else f"{one.mean_absolute_error:.4g} over {one.numbers:,}"
        rows.append((one.arm, "shown" if one.shown else "answered", right, error))
    yield from table(("arm", "requests it", "labels right", "mean absolute error"), rows)


def _worst(report: Report) -> Iterator[str]:
    found = report.worst
    if not found:
        return
    yield from ("", "## Worst disagreements", "")
    rows = [
        (
            code(one.request_id),
            one.candidate,
            code(one.baseline_prediction),
            code(one.candidate_prediction),
            "-" if one.difference is None else f"{one.difference:.4g}",
            code(one.request_preview),
        )
        for one in found
    ]
    yield from table(("request", "candidate", "baseline said", "candidate said", "difference", "request body"), rows)
    yield from ("", f"Side by side, and as curl: {code(f'modelctl report {report.route} --rollout {report.rollout.id} --worst')}")


def _audit(report: Report) -> Iterator[str]:
    yield from ("", "## History", "")
    rows = [
        (moment(event.at), code(event.actor), event.action, code(event.reason) if event.reason else "-") for event in report.audit
    ]
    yield from table(("time", "who", "what", "why"), rows)
    yield from ("", "The sums behind every figure are in the JSON report (`aggregates`).")


def _shares(shares: dict[str, int]) -> str:
    return ", ".join(f"{name} {share(bp / 10_000)}" for name, bp in shares.items() if bp) or "-"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items())) or "-"
