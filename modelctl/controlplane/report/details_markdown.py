"""What a report explains beyond the verdict, as Markdown: each part its sentence, then its table. Pure."""

from collections.abc import Iterator, Sequence

from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.figures import figure, share
from modelctl.controlplane.report.details import Details
from modelctl.controlplane.report.field_table import FieldTable
from modelctl.controlplane.report.label_mix import LabelMix
from modelctl.controlplane.report.markdown_text import code, prose, table
from modelctl.controlplane.report.measure import Measure
from modelctl.controlplane.report.noise_floor import NoiseFloor
from modelctl.controlplane.report.slices import Slice, Slices

MOST = 20


def method_link(method: str, source: str) -> str:
    """The method, as a link to where it is explained."""
    return f"[{method}]({source})" if source else method


def companion_lines(rows: Sequence[Row]) -> Iterator[str]:
    """What methods for one look say of the same sums."""
    cells = [
        (
            row.title,
            row.candidate_name,
            figure(one.estimate, one.unit),
            f"{figure(one.lower, one.unit)} to {figure(one.upper, one.unit)}",
            "-" if one.p is None else f"{one.p:.3g}",
            method_link(one.method, one.source),
        )
        for row in rows
        if (one := row.companion) is not None
    ]
    if cells:
        yield from (
            "",
            "For comparison, valid for one look only, at an n that was fixed beforehand; nothing is decided by these:",
            "",
        )
        yield from table(("metric", "candidate", "effect", "95% interval", "p", "method"), cells)


def detail_lines(found: Details) -> Iterator[str]:
    """Every part there is."""
    for mix in found.labels:
        yield from _mix(mix)
    for floor in found.noise:
        yield from _noise(floor)
    for fields in found.fields:
        yield from _fields(fields)
    if found.slices is not None:
        yield from _slices(found.slices)


def truth_lines(found: Details) -> Iterator[str]:
    """How much of the truth is known."""
    truth = found.truth
    if truth is None:
        return
    yield from ("", f"## Labels that came: {truth.state}", "", truth.sentence, "")
    rows = [(one.arm, f"{one.n:,}", f"{one.labelled:,}", *_cells(one.measure)) for one in truth.arms]
    yield from table(("arm", "answers", "labelled", "share", "interval"), rows)


def _slices(found: Slices) -> Iterator[str]:
    yield from ("", "## Slices (for reading, they decide nothing)", "", prose(found.sentence))
    if found.note:
        yield from ("", found.note)
    if found.first:
        yield ""
        yield from table(
            ("slice", "what", "candidate", "baseline", "value", "effect", "interval", "evidence", "n", ""),
            [_slice(one) for one in found.first[:MOST]],
        )
        yield from _more(found.compared, len(found.first))


def _slice(one: Slice) -> tuple[str, ...]:
    stands = f"{one.direction}, stands out" if one.flagged else "may be chance"
    values = ("-" if value is None else share(value) for value in (one.baseline, one.candidate_value))
    n = f"{one.measure.n:,} {one.measure.counts}"
    return (
        code(f"{one.dimension} {one.value}"),
        one.kind,
        one.candidate,
        *values,
        *_cells(one.measure),
        _evidence(one.measure),
        n,
        stands,
    )


def _noise(floor: NoiseFloor) -> Iterator[str]:
    yield from ("", f"## Noise floor of {floor.candidate}", "", floor.sentence)
    if floor.relative_percent is not None and floor.absolute_percent is not None:
        yield f"Diffy would say: relative {floor.relative_percent:.3g}%, absolute {floor.absolute_percent:.3g}%."
    yield f"Evidence that the two differ: {_evidence(floor.measure)}, from {floor.measure.n:,} {floor.measure.counts}."
    if floor.excluded:
        yield from ("", f"Proposed for exclusion (nothing is excluded by itself): {', '.join(map(code, floor.excluded))}")
    if not floor.fields:
        return
    yield ""
    rows = [
        (
            code(one.path),
            f"{one.raw:,}",
            f"{one.noise:,}",
            *_cells(one.measure),
            _evidence(one.measure),
            "more than noise" if one.flagged else "-",
        )
        for one in floor.fields[:MOST]
    ]
    yield from table(("place", "raw", "noise", "candidate's part", "interval", "evidence", ""), rows)
    yield from _more(floor.places, len(floor.fields))


def _fields(found: FieldTable) -> Iterator[str]:
    yield from ("", f"## Places in the answers of {found.candidate}", "", prose(found.sentence), "")
    rows = [
        (
            code(one.path),
            f"{one.n:,}",
            *(("-", "-") if one.measure is None else _cells(one.measure)),
            *(f"{n:,}" for n in (one.value, one.type, one.missing, one.extra)),
        )
        for one in found.first[:MOST]
    ]
    yield from table(("place", "pairs", "equal", "interval", "other value", "other type", "missing", "extra"), rows)
    yield from _more(found.paths, len(found.first))


def _mix(mix: LabelMix) -> Iterator[str]:
    how = "on the same requests" if mix.design == "paired" else "each arm's own requests"
    yield from ("", f"## Mix of labels of {mix.candidate}, {how}", "", prose(mix.sentence), "", _distances(mix), "")
    rows = [
        (
            code(one.label),
            f"{one.baseline:,}",
            f"{one.candidate:,}",
            *(("-", "-", "-") if one.measure is None else (*_cells(one.measure), _evidence(one.measure))),
        )
        for one in mix.labels
    ]
    yield from table(("label", "baseline", "candidate", "change", "interval", "evidence"), rows)


def _distances(mix: LabelMix) -> str:
    parts = []
    if mix.psi is not None and mix.expected_psi is not None:
        parts.append(f"PSI {mix.psi:.3g} (about {mix.expected_psi:.3g} when nothing changed)")
    if mix.jensen_shannon_bits is not None:
        parts.append(f"JS {mix.jensen_shannon_bits:.3g} bits")
    parts.append(f"total variation {mix.estimate:.3g}")
    if mix.cramers_v is not None:
        parts.append(f"Cramér's V {mix.cramers_v:.3g}")
    if mix.log10_e is not None:
        parts.append(f"evidence at any look 10^{mix.log10_e:.2f}")
    parts += [f"{one.name} {one.statistic:.4g} on {one.df}, p {one.p:.3g} (one look only)" for one in mix.tests]
    return f"{', '.join(parts)}."


def _cells(one: Measure) -> tuple[str, str]:
    if one.estimate is None:
        return "-", one.reason or "-"
    return figure(one.estimate, one.unit), f"{figure(one.lower, one.unit)} to {figure(one.upper, one.unit)}"


def _evidence(one: Measure) -> str:
    return "-" if one.log10_e is None else f"10^{one.log10_e:.2f}"


def _more(total: int, listed: int) -> Iterator[str]:
    if total > min(listed, MOST):
        yield from ("", f"{total - min(listed, MOST):,} more; the JSON report lists {listed:,}.")
