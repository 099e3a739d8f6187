"""The tables of what a report explains beyond the verdict. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from modelctl.controlplane.judgement.figures import figure
from modelctl.controlplane.report.details import Details
from modelctl.controlplane.report.drawn import between
from modelctl.controlplane.report.measure import Measure

MOST = 20
_ENDS = ("estimate", "interval", "evidence")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A table; the first column names the row, those in `left` hold words. `more` says what is left out, `grey` decides nothing."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    sentences: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    more: str = ""
    grey: bool = False


def coverage(found: Details) -> Iterator[Listed]:
    """How much of the truth is known."""
    truth = found.truth
    if truth is not None:
        rows = tuple((one.arm, f"{one.n:,}", f"{one.labelled:,}", *_cells(one.measure)[:2]) for one in truth.arms)
        yield Listed(
            title=f"Labels that came: {truth.state}",
            sentences=(truth.sentence,),
            caption="Of the predictions each arm answered, those whose truth is known.",
            columns=("arm", "answers", "labelled", "share", "interval"),
            rows=rows,
        )


def mixes(found: Details) -> Iterator[Listed]:
    """How often both arms use each label."""
    for mix in found.labels:
        how = "on the same requests" if mix.design == "paired" else "each arm's own requests"
        blank = ("-", "-", "-")
        yield Listed(
            title=f"Mix of labels: {mix.candidate}, {how}",
            sentences=(mix.sentence,),
            caption="The labels whose share moved most come first.",
            columns=("label", "baseline", "candidate", *_ENDS),
            rows=tuple(
                (one.label, f"{one.baseline:,}", f"{one.candidate:,}", *(blank if one.measure is None else _cells(one.measure)))
                for one in mix.labels
            ),
        )


def noise(found: Details) -> Iterator[Listed]:
    """The baseline against a second copy of itself."""
    for floor in found.noise:
        proposed = f"Proposed for exclusion, nothing is excluded by itself: {', '.join(floor.excluded)}." if floor.excluded else ""
        yield Listed(
            title=floor.candidate,
            sentences=tuple(text for text in (floor.sentence, proposed) if text),
            caption="Places in the answers: how often the candidate differs from the baseline, and how often its own copy does.",
            columns=("place", "candidate differs", "copy differs", *_ENDS, "finding"),
            rows=tuple(
                (
                    one.path,
                    f"{one.raw:,}",
                    f"{one.noise:,}",
                    *_cells(one.measure),
                    "more than noise" if one.flagged else "not proven",
                )
                for one in floor.fields[:MOST]
            ),
            left=("finding",),
            more=_more(floor.places, len(floor.fields)),
        )


def fields(found: Details) -> Iterator[Listed]:
    """Answers that are JSON, place by place."""
    for one in found.fields:
        yield Listed(
            title=f"Places in the answers: {one.candidate}",
            sentences=(one.sentence,),
            caption="Those that differ most come first.",
            columns=("place", "pairs", "equal", "interval", "other value", "other type", "missing", "extra"),
            rows=tuple(
                (
                    path.path,
                    f"{path.n:,}",
                    *(("-", "-") if path.measure is None else _cells(path.measure)[:2]),
                    *(f"{n:,}" for n in (path.value, path.type, path.missing, path.extra)),
                )
                for path in one.first[:MOST]
            ),
            more=_more(one.paths, len(one.first)),
        )


def _cells(one: Measure) -> Sequence[str]:
    if one.estimate is None:
        return "-", one.reason or "-", "-"
    evidence = "-" if one.log10_e is None else f"10^{one.log10_e:.2f}"
    return figure(one.estimate, one.unit), between(one.lower, one.upper, unit=one.unit), evidence


def _more(total: int, listed: int) -> str:
    shown = min(listed, MOST)
    return f"{total - shown:,} more; the JSON report lists {listed:,}." if total > shown else ""
