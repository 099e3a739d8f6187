"""What a page shows below its verdict, part by part, in the order people decide by. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelctl.controlplane.figures.svg import cut
from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.figures import amount, figure, share
from modelctl.controlplane.report.answer_drawings import confusion_drawing, funnel_drawing, latency_drawings, number_drawings
from modelctl.controlplane.report.content import Report, StageLine, Trust
from modelctl.controlplane.report.detail_parts import Listed, coverage, fields, mixes, noise
from modelctl.controlplane.report.disagreement import Disagreement
from modelctl.controlplane.report.drawn import Drawn, between, harm_words, moment
from modelctl.controlplane.report.interval_drawings import (
    SLICES,
    course_drawings,
    gate_forest,
    other_forests,
    slice_drawings,
)

_DECIDED = "Every comparison. Intervals hold at every look; differences are candidate minus baseline, ratios candidate over it."
_COLUMNS = (
    *("metric", "role", "baseline", "candidate", "difference"),
    *("interval", "harm still possible", "margin", "finding", "n", "still needed"),
)
REASON = 300
ONE_LOOK = "For comparison, valid for one look only, at an n that was fixed beforehand; nothing is decided by these."


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the page; `name` is its anchor, `empty` what is said when there is nothing else."""

    name: str
    title: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Drawn, ...] = ()
    tables: tuple[Listed, ...] = ()
    examples: tuple[Disagreement, ...] = ()
    commands: tuple[str, ...] = ()
    empty: str = ""


def parts_of(report: Report, *, worst: int) -> tuple[Part, ...]:
    """All of them, with so many of the worst disagreements."""
    return (
        _decision(report),
        _evidence(report),
        _over_time(report),
        _agreement(report),
        _noise(report),
        _latency(report),
        _failures(report),
        _slices(report),
        _worst(report, worst),
        _history(report),
    )


def _decision(report: Report) -> Part:
    forest = gate_forest(report.rows)
    return Part(
        name="decision",
        title="The decision",
        sentences=_methods(report.rows),
        figures=(*(() if forest is None else (forest,)), *other_forests(report.rows)),
        tables=tuple(_decision_tables(report.rows)),
        empty="" if report.rows else "Nothing is compared yet.",
    )


def _methods(rows: Sequence[Row]) -> tuple[str, ...]:
    """Where the formula and the paper of each method are."""
    found = dict.fromkeys(f"{row.method}: {row.source}" for row in rows if row.source)
    return (f"How it is computed: {'; '.join(found)}",) if found else ()


def _decision_tables(rows: Sequence[Row]) -> Iterator[Listed]:
    if rows:
        several = len({row.candidate_name for row in rows}) > 1
        yield Listed(
            caption=_DECIDED,
            columns=_COLUMNS,
            rows=tuple(_decided(row, several=several) for row in rows),
            left=("role", "finding", "n", "still needed"),
        )
    grey = [(row, row.companion) for row in rows if row.companion is not None]
    if grey:
        yield Listed(
            caption=ONE_LOOK,
            grey=True,
            columns=("metric", "candidate", "effect", "95% interval", "p", "method"),
            rows=tuple(
                (
                    row.title,
                    row.candidate_name,
                    figure(one.estimate, one.unit),
                    between(one.lower, one.upper, unit=one.unit),
                    "-" if one.p is None else f"{one.p:.3g}",
                    one.method,
                )
                for row, one in grey
            ),
            left=("candidate", "method"),
        )


def _decided(row: Row, *, several: bool) -> tuple[str, ...]:
    sides = (
        figure(value, "share" if row.unit == "ratio" else row.unit) if value is not None else "-"
        for value in (row.baseline, row.candidate)
    )
    harm = harm_words(row.harm_lower, row.harm_upper, unit=row.margin_unit) if row.gate and row.finding != "no-data" else "-"
    return (
        f"{row.candidate_name}: {row.title}" if several else row.title,
        row.role,
        *sides,
        "-" if row.estimate is None else figure(row.estimate, row.unit),
        between(row.lower, row.upper, unit=row.unit) if row.state == "ok" else row.reason or "-",
        harm,
        "-" if row.margin is None else amount(row.margin, row.margin_unit),
        row.finding,
        f"{row.n:,} {row.counts}",
        "; ".join(part for part in (row.needs, row.forecast) if part) or "-",
    )


def _evidence(report: Report) -> Part:
    return Part(
        name="evidence",
        title="Can the evidence be trusted?",
        sentences=(split_sentence(report.trust), *report.trust.notes),
        figures=tuple(funnel_drawing(one) for one in report.funnels),
        tables=(*_split(report.trust), *coverage(report.details)),
    )


def split_sentence(trust: Trust) -> str:
    """Whether requests went where they were meant to go."""
    evidence = "infinite" if trust.log10_e is None else f"10^{trust.log10_e:.2f}"
    if trust.blocked:
        return f"Requests were not split as their shares say (evidence E = {evidence}, 1000 blocks): do not trust the results."
    return f"Requests were split as their shares say, as far as can be told (evidence E = {evidence}, 1000 blocks)."


def _split(trust: Trust) -> Iterator[Listed]:
    yield Listed(
        caption="Requests that each arm answered, and how many its shares asked for.",
        columns=("arm", "requests", "expected"),
        rows=tuple((arm.arm, f"{arm.observed:,}", f"{arm.expected:,.1f}") for arm in trust.arms),
    )
    yield Listed(
        caption="Stages: periods of constant shares.",
        columns=("stage", "from", "to", "arm", "answers", "shown", "requests"),
        rows=tuple(line for stage in trust.stages for line in _stage(stage)),
        left=("from", "to", "arm"),
    )


def _stage(stage: StageLine) -> Iterator[tuple[str, ...]]:
    closed = moment(stage.closed_at * 1000) if stage.closed_at else "now"
    for arm, bp in stage.answers.items():
        counted = f"{stage.requests.get(arm, 0):,}"
        yield (
            str(stage.id),
            moment(stage.opened_at * 1000),
            closed,
            arm,
            share(bp / 10_000),
            share(stage.shown.get(arm, 0) / 10_000),
            counted,
        )


def _over_time(report: Report) -> Part:
    return Part(
        name="over-time",
        title="The interval over time",
        sentences=tuple(said for said in (report.without_path,) if said),
        figures=tuple(course_drawings(report)),
        empty="" if report.over_time else "No interval yet.",
    )


def _agreement(report: Report) -> Part:
    numbers = {one.candidate: one for one in report.numbers}
    figures = [confusion_drawing(one, report.rollout.baseline) for one in report.confusions]
    figures += [drawn for one in report.differences for drawn in number_drawings(one, numbers.get(one.candidate))]
    tables = (*mixes(report.details), *fields(report.details))
    empty = "" if figures or tables else "No prediction of both sides on the same request yet."
    return Part(name="agreement", title="Do they agree?", figures=tuple(figures), tables=tables, empty=empty)


def _noise(report: Report) -> Part:
    shown = tuple(noise(report.details))
    off = "Not measured. A second copy of the baseline says how often it differs from itself: modelctl shadow --noise-control 10"
    return Part(name="noise", title="The noise floor", tables=shown, empty="" if shown else off)


def _latency(report: Report) -> Part:
    rows = tuple(
        (
            one.arm,
            "shown" if one.shown else "answered",
            f"{one.n:,}",
            *(f"{q.value:.3g}" if q.enough and q.value is not None else "too few" for q in one.quantiles),
            *(_ends(q.lower, q.upper) if q.enough else "-" for q in one.quantiles[-1:]),
        )
        for one in report.latencies
    )
    table = Listed(
        caption="Milliseconds to the last byte, with the always-valid interval of p99.",
        columns=("arm", "requests it", "n", "p50", "p90", "p95", "p99", "p99 interval"),
        rows=rows,
        left=("requests it",),
    )
    figures = tuple(latency_drawings(report))
    return Part(
        name="latency", title="Latency", figures=figures, tables=(table,) if rows else (), empty="" if rows else "No answers yet."
    )


def _ends(lower: float | None, upper: float | None) -> str:
    return " to ".join("unbounded" if end is None else f"{end:.3g}" for end in (lower, upper))


def _failures(report: Report) -> Part:
    rows = tuple(
        (
            one.arm,
            f"{one.n:,}",
            ", ".join(f"{name} {n:,}" for name, n in sorted(one.counts.items())) or "-",
            f"{one.failures:,}",
            "-" if one.failure_rate is None else share(one.failure_rate),
        )
        for one in report.outcomes
    )
    answers = Listed(
        caption="How each arm's answers to clients ended.",
        columns=("arm", "answers", "by outcome", "failed", "rate"),
        rows=rows,
        left=("by outcome",),
    )
    return Part(name="failures", title="Failures", tables=(answers, *_feedback(report)))


def _feedback(report: Report) -> Iterator[Listed]:
    rows = tuple(
        (
            one.arm,
            "shown" if one.shown else "answered",
            "-" if one.accuracy is None else f"{share(one.accuracy)} of {one.labels:,}",
            "-" if one.mean_absolute_error is None else f"{one.mean_absolute_error:.4g} over {one.numbers:,}",
        )
        for one in report.feedback
    )
    if rows:
        columns = ("arm", "requests it", "labels right", "mean absolute error")
        yield Listed(caption="Against what turned out to be true.", columns=columns, rows=rows, left=("requests it",))


def _slices(report: Report) -> Part:
    found = report.details.slices
    if found is None:
        return Part(name="slices", title="Slices", empty=report.standing_out.sentence)
    more = (
        f" {found.compared - SLICES:,} more are compared; the JSON report lists {len(found.first):,}."
        if found.compared > SLICES
        else ""
    )
    sentences = tuple(
        text for text in (f"{found.sentence}{more}", "Slices are for reading: they decide nothing.", found.note) if text
    )
    return Part(name="slices", title="Slices", sentences=sentences, figures=tuple(slice_drawings(found)))


def _worst(report: Report, most: int) -> Part:
    shown = report.worst[:most]
    said = "Numbers by the size of their difference, then labels that differ, the newest first; a click opens one."
    return Part(
        name="worst",
        title="The worst disagreements",
        sentences=(said,) if shown else (),
        examples=shown,
        empty="" if shown else "None recorded.",
    )


def _history(report: Report) -> Part:
    events = tuple((moment(one.at), one.actor, one.action, cut(one.reason, REASON) or "-") for one in report.audit)
    history = Listed(
        caption="Who did what, when and why.", columns=("time", "who", "what", "why"), rows=events, left=("who", "what", "why")
    )
    origin = report.reproduction
    terms = (
        ()
        if origin is None
        else (
            ("rollout, revision", f"{origin.rollout}, {origin.revision}"),
            ("unit that is kept on an arm", origin.unit),
            ("engine, mode", f"{origin.engine}, {origin.mode}"),
            ("error levels", f"rollback {origin.alpha_rollback:g}, promotion {origin.alpha_promote:g}"),
            ("evidence", f"{origin.sums:,} sums, sha256 {origin.evidence_sha256}"),
            ("terms", f"sha256 {origin.terms_sha256}"),
            ("version", origin.version),
        )
    )
    made = Listed(
        caption="Two pages with the same digests say the same.",
        columns=("what", "value"),
        rows=terms,
        left=("value",),
        title="To come to the same page",
    )
    return Part(
        name="history",
        title="History, and how to reproduce this",
        tables=(history, made),
        commands=origin.commands if origin else (),
    )
