"""The figures people decide by: intervals against their margins, now and over time, and of slices. Pure."""

from collections.abc import Iterator, Sequence

from modelctl.controlplane.figures import forest as forests
from modelctl.controlplane.figures import over_time as courses
from modelctl.controlplane.figures.forest import Forest, Interval, Mark
from modelctl.controlplane.figures.over_time import Course, Look, Moment
from modelctl.controlplane.figures.svg import Heading
from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.figures import amount, figure, share
from modelctl.controlplane.report.content import Report
from modelctl.controlplane.report.drawn import Drawn, between, clock, harm_words, proof
from modelctl.controlplane.report.over_time import OverTime, harm_estimate
from modelctl.controlplane.report.slices import Slice, Slices

WIDEST = (-2.0, 3.0)
COURSES = 6
SLICES = 20
_BARS = "Each bar is one slice against the baseline, or for different predictions against the rest of the traffic."
_CORRECTED = "Those that stand out do so after correction for how many were compared; the others may be chance."
_UNIT_TITLES = {"share": "difference, in percent", "ratio": "times the baseline's", "value": "difference"}


def gate_forest(rows: Sequence[Row]) -> Drawn | None:
    """Every declared gate whose margin can be a measure, in margins; None without any."""
    gates = [row for row in rows if row.gate and row.margin and row.margin_unit != "rate"]
    if not gates:
        return None
    title = "What is proven, against what is tolerated"
    figure_ = Forest(
        heading=Heading(name="gates", title=title, description=" ".join(_gate_words(row) for row in gates)),
        title="harm, in margins: right of the margin is more harm than is tolerated",
        unit="margin",
        intervals=tuple(_in_margins(row) for row in gates),
        marks=(Mark(value=0.0, label="no harm"), Mark(value=1.0, label="margin", limit=True)),
        limits=WIDEST,
    )
    return Drawn(
        svg=forests.draw(figure_),
        title=title,
        caption=(
            "Each bar is all the harm that is still possible, at any look. Wholly left of the margin: harm beyond it is excluded. "
            "Wholly right: it is proven. Across: not decided."
        ),
        columns=("metric", "candidate", "role", "harm from", "to", "margin", "finding"),
        rows=tuple(
            (
                row.title,
                row.candidate_name,
                row.role,
                amount(row.harm_lower, row.margin_unit),
                amount(row.harm_upper, row.margin_unit),
                amount(row.margin, row.margin_unit),
                row.finding,
            )
            for row in gates
        ),
        left=("candidate", "role", "finding"),
    )


def _gate_words(row: Row) -> str:
    if row.finding == "no-data":
        return f"{row.candidate_name}, {row.title}: {row.reason or 'no data'}."
    said = harm_words(row.harm_lower, row.harm_upper, unit=row.margin_unit)
    return f"{row.candidate_name}, {row.title}: harm {said}, margin {amount(row.margin, row.margin_unit)}, {row.finding}."


def _in_margins(row: Row) -> Interval:
    margin = row.margin or 1.0
    low, high, middle = (None if end is None else end / margin for end in (row.harm_lower, row.harm_upper, harm_estimate(row)))
    known = row.finding != "no-data"
    said = (
        f"{harm_words(row.harm_lower, row.harm_upper, unit=row.margin_unit)}: {row.finding}"
        if known
        else row.reason or "no data yet"
    )
    return Interval(
        label=_plain(row.title),
        detail=f"{row.candidate_name} · {row.role} · {row.design}",
        lower=low,
        estimate=middle,
        upper=high,
        words=said,
        proof=proof(row.finding),
        known=known,
    )


def other_forests(rows: Sequence[Row]) -> Iterator[Drawn]:
    """The rows without a margin that say a difference, those of one unit on one scale; values have scales of their own."""
    others = [row for row in rows if not (row.gate and row.margin and row.margin_unit != "rate") and row.null is not None]
    groups: dict[tuple[str, float | None, str], list[Row]] = {}
    for row in others:
        groups.setdefault((row.unit, row.null, row.title if row.unit == "value" else ""), []).append(row)
    for place, ((unit, null, _), group) in enumerate(groups.items()):
        yield _plain_forest(group, unit=unit, null=null or 0.0, name=f"effects-{place}")


def _plain_forest(rows: Sequence[Row], *, unit: str, null: float, name: str) -> Drawn:
    title = f"Candidate against baseline: {_UNIT_TITLES[unit]}"
    lines = tuple(
        Interval(
            label=_plain(row.title),
            detail=f"{row.candidate_name} · {row.role}",
            lower=row.lower,
            estimate=row.estimate,
            upper=row.upper,
            words=f"{between(row.lower, row.upper, unit=unit)}: {row.finding}" if _known(row) else row.reason or "no data yet",
            proof=proof(row.finding),
            known=_known(row),
        )
        for row in rows
    )
    mark = Mark(value=null, label="no difference")
    said = " ".join(
        f"{row.candidate_name}, {row.title}: {between(row.lower, row.upper, unit=unit)}, {row.finding}." for row in rows
    )
    heading = Heading(name=name, title=title, description=said)
    drawn = Forest(heading=heading, title=_UNIT_TITLES[unit], unit=unit, intervals=lines, marks=(mark,), log=unit == "ratio")
    return Drawn(
        svg=forests.draw(drawn),
        title=title,
        caption="An interval that reaches over the line is compatible with no difference; one that does not, at any look, is not.",
        columns=("metric", "candidate", "estimate", "from", "to", "finding"),
        rows=tuple(
            (row.title, row.candidate_name, *(figure(end, unit) for end in (row.estimate, row.lower, row.upper)), row.finding)
            for row in rows
        ),
        left=("candidate", "finding"),
    )


def _known(row: Row) -> bool:
    return row.state == "ok" and row.finding != "no-data"


def course_drawings(report: Report) -> Iterator[Drawn]:
    """Each interval over time, those that decide first."""
    stages = tuple(Moment(at=one.at, label=one.title) for one in report.stages_opened)
    for place, one in enumerate(report.over_time[:COURSES]):
        yield _course(one, stages, name=f"course-{place}")


def _course(one: OverTime, stages: tuple[Moment, ...], *, name: str) -> Drawn:
    text = amount if one.gate else figure
    title = f"{one.candidate}: {_plain(one.title)}"
    looks = tuple(Look(at=look.at, lower=look.lower, estimate=look.estimate, upper=look.upper) for look in one.looks)
    drawn = Course(
        heading=Heading(name=name, title=title, description=one.sentence),
        title="harm" if one.gate else "candidate against baseline" if one.null is not None else "share",
        unit=one.unit,
        looks=looks,
        stages=stages,
        null=one.null,
        margin=one.margin,
        proven=Moment(at=one.proven_at, label=f"{one.proven} from here on") if one.proven_at else None,
    )
    return Drawn(
        svg=courses.draw(drawn),
        title=title,
        caption=" ".join(part for part in (one.sentence, "Dotted lines: a stage began.", one.note) if part),
        columns=("time (UTC)", "n", "from", "estimate", "to", "finding"),
        rows=tuple(
            (clock(look.at), f"{look.n:,}", *(text(end, one.unit) for end in (look.lower, look.estimate, look.upper)), look.finding)
            for look in one.looks
        ),
        left=("finding",),
    )


def slice_drawings(found: Slices) -> Iterator[Drawn]:
    """The slices with the strongest evidence, differences and ratios apart."""
    for unit in ("share", "ratio"):
        mine = [one for one in found.first[:SLICES] if one.measure.unit == unit]
        if mine:
            yield slice_forest(mine, name=f"slices-{unit}", caption=f"{_BARS} {_CORRECTED}")


def slice_forest(slices: Sequence[Slice], *, name: str, caption: str) -> Drawn:
    """Slices of one unit, in their order."""
    unit = slices[0].measure.unit
    title = f"Slices: {_UNIT_TITLES[unit]}"
    drawn = Forest(
        heading=Heading(name=name, title=title, description=" ".join(one.sentence for one in slices)),
        title=_UNIT_TITLES[unit],
        unit=unit,
        intervals=tuple(_slice_line(one) for one in slices),
        marks=(Mark(value=slices[0].measure.null or 0.0, label="no difference"),),
        log=unit == "ratio",
    )
    return Drawn(
        svg=forests.draw(drawn),
        title=title,
        caption=caption,
        columns=("slice", "what", "candidate", "baseline or rest", "value", "estimate", "from", "to", "evidence", "n", "finding"),
        rows=tuple(_slice_row(one) for one in slices),
        left=("what", "candidate", "n", "finding"),
    )


def _slice_line(one: Slice) -> Interval:
    words = between(one.measure.lower, one.measure.upper, unit=one.measure.unit)
    return Interval(
        label=f"{one.dimension} {one.value}",
        detail=f"{one.kind} · {one.candidate}",
        lower=one.measure.lower,
        estimate=one.measure.estimate,
        upper=one.measure.upper,
        words=f"{words}{f': {one.direction}' if one.flagged else ''}" if one.measure.estimate is not None else one.measure.reason,
        proof=proof("", direction=one.direction if one.flagged else ""),
        known=one.measure.estimate is not None,
    )


def _slice_row(one: Slice) -> tuple[str, ...]:
    known, unit = one.measure, one.measure.unit
    sides = ("-" if value is None else share(value) for value in (one.baseline, one.candidate_value))
    ends = ("-" if known.estimate is None else figure(end, unit) for end in (known.estimate, known.lower, known.upper))
    evidence = "-" if known.log10_e is None else f"10^{known.log10_e:.2f}"
    state = f"{one.direction}, stands out" if one.flagged else "may be chance"
    counted = f"{known.n:,} {known.counts}"
    return (f"{one.dimension} {one.value}", one.kind, one.candidate, *sides, *ends, evidence, counted, state)


def _plain(title: str) -> str:
    """A title without what stands in brackets: the line beside it says the same."""
    return title.partition(" (")[0]
