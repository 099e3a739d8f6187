"""The parts of a report that explain and decide nothing, in a terminal: each its sentence, then its table."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from modelctl.cli.figures import figure
from modelctl.cli.output import line, table
from modelctl.cli.quantities import count, number, rate
from modelctl.cli.report_answer import Row
from modelctl.cli.report_details_answer import Details, FieldTable, LabelMix, Measure, NoiseFloor, Slices

MOST = 20


def method_lines(rows: Sequence[Row]) -> Iterator[Text]:
    """Where the formula and the paper of each method are."""
    found = dict.fromkeys(f"{row.method}: {row.source}" for row in rows if row.source)
    if found:
        yield line(f"How it is computed: {'; '.join(found)}", style="dim")


def companion_lines(rows: Sequence[Row]) -> Iterator[Text]:
    """What methods for one look say of the same sums, in grey: nothing is decided by them."""
    for row in rows:
        if (one := row.companion) is not None:
            between = _between(one.lower, one.upper, unit=one.unit)
            p = "" if one.p is None else f", p {number(one.p)}"
            yield line(f"{row.title}: {one.method} {figure(one.estimate, one.unit)}, {between}{p} ({one.note})", style="dim")


def detail_parts(found: Details) -> Iterator[RenderableType]:
    """Every part there is."""
    for mix in found.labels:
        yield from _mix(mix)
    for floor in found.noise:
        yield from _noise(floor)
    for fields in found.fields:
        yield from _fields(fields)
    if found.slices is not None:
        yield from _slices(found.slices)


def truth_parts(found: Details) -> Iterator[RenderableType]:
    """How much of the truth is known."""
    if found.truth is not None:
        yield line(f"labels are {found.truth.state}: {found.truth.sentence}")


def _titled(title: str, *sentences: str) -> Iterator[Text]:
    yield line(f"\n{title}", style="bold")
    yield from (line(sentence) for sentence in sentences if sentence)


def _slices(found: Slices) -> Iterator[RenderableType]:
    yield from _titled("Slices (they decide nothing)", found.sentence, found.note)
    rows = [
        [
            f"{one.dimension} {one.value}",
            one.kind,
            one.candidate,
            rate(one.baseline),
            rate(one.candidate_value),
            *_cells(one.measure),
            f"{count(one.measure.n)} {one.measure.counts}",
            f"{one.direction}, stands out" if one.flagged else "may be chance",
        ]
        for one in found.first[:MOST]
    ]
    columns = ["SLICE", "WHAT", "OF", "BASELINE", "CANDIDATE", "EFFECT", "INTERVAL", "LOG10 E", "N", ""]
    if rows:
        yield table(columns, rows, right=columns[3:6] + columns[7:8])
    yield from _more(found.compared)


def _noise(floor: NoiseFloor) -> Iterator[RenderableType]:
    diffy = f"Diffy: relative {number(floor.relative_percent)}%, absolute {number(floor.absolute_percent)}%"
    evidence = f"log10 E {number(floor.measure.log10_e)} that the two differ · {diffy}"
    excluded = f"proposed for exclusion, nothing is excluded by itself: {', '.join(floor.excluded)}" if floor.excluded else ""
    yield from _titled(f"Noise floor: {floor.candidate}", floor.sentence, evidence, excluded)
    rows = [
        [one.path, count(one.raw), count(one.noise), *_cells(one.measure), "more than noise" if one.flagged else "-"]
        for one in floor.fields[:MOST]
    ]
    columns = ["PLACE", "RAW", "NOISE", "CANDIDATE'S PART", "INTERVAL", "LOG10 E", ""]
    if rows:
        yield table(columns, rows, right=[*columns[1:4], "LOG10 E"])
    yield from _more(floor.places)


def _fields(found: FieldTable) -> Iterator[RenderableType]:
    yield from _titled(f"Places in the answers: {found.candidate}", found.sentence)
    rows = [
        [
            one.path,
            count(one.n),
            *(_cells(one.measure)[:2] if one.measure is not None else ("-", "-")),
            *map(count, (one.value, one.type, one.missing, one.extra)),
        ]
        for one in found.first[:MOST]
    ]
    columns = ["PLACE", "PAIRS", "EQUAL", "INTERVAL", "OTHER VALUE", "OTHER TYPE", "MISSING", "EXTRA"]
    yield table(columns, rows, right=[name for name in columns[1:] if name != "INTERVAL"])
    yield from _more(found.paths)


def _mix(mix: LabelMix) -> Iterator[RenderableType]:
    how = "the same requests" if mix.design == "paired" else "each arm's own requests"
    yield from _titled(f"Mix of labels: {mix.candidate}, {how}", mix.sentence, _distances(mix))
    tests = " · ".join(f"{test.name} p {number(test.p)}" for test in mix.tests)
    if tests:
        yield line(f"{tests} (valid for one look only)", style="dim")
    rows = [
        [
            one.label,
            count(one.baseline),
            count(one.candidate),
            *(("-", "-", "-") if one.measure is None else _cells(one.measure)),
        ]
        for one in mix.labels
    ]
    columns = ["LABEL", "BASELINE", "CANDIDATE", "CHANGE", "INTERVAL", "LOG10 E"]
    yield table(columns, rows, right=[*columns[1:4], "LOG10 E"])


def _distances(mix: LabelMix) -> str:
    parts = [f"PSI {number(mix.psi)} (about {number(mix.expected_psi)} when nothing changed)"] if mix.psi is not None else []
    parts += [f"JS {number(mix.jensen_shannon_bits)} bits", f"total variation {number(mix.estimate)}"]
    parts += [f"Cramér's V {number(mix.cramers_v)}"] if mix.cramers_v is not None else []
    parts += [f"log10 E {number(mix.log10_e)} at any look"] if mix.log10_e is not None else []
    return " · ".join(parts)


def _cells(one: Measure) -> tuple[str, str, str]:
    if one.estimate is None:
        return "-", one.reason or "-", "-"
    return figure(one.estimate, one.unit), _between(one.lower, one.upper, unit=one.unit), number(one.log10_e)


def _between(lower: float | None, upper: float | None, *, unit: str) -> str:
    low, high = ("unbounded" if end is None else figure(end, unit) for end in (lower, upper))
    return f"{low} to {high}"


def _more(total: int) -> Iterator[Text]:
    if total > MOST:
        yield line(f"{count(total - MOST)} more: -o json")
