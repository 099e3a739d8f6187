"""The figures that explain: the funnel, labels, numbers and latencies. Pure."""

from collections.abc import Iterator

from modelctl.controlplane.figures import bland_altman, confusion, funnel, histogram, latency
from modelctl.controlplane.figures.svg import Heading
from modelctl.controlplane.judgement.figures import share
from modelctl.controlplane.judgement.funnel import STAGES
from modelctl.controlplane.judgement.funnel import Funnel as Counted
from modelctl.controlplane.report.content import Report
from modelctl.controlplane.report.differences import DifferenceSample
from modelctl.controlplane.report.drawn import Drawn
from modelctl.controlplane.report.latency_curves import QUANTILES, LatencyCurve
from modelctl.controlplane.report.shapes import Confusion, Numbers

LISTED = 50


def funnel_drawing(found: Counted) -> Drawn:
    """How far requests came."""
    title = f"From requests to pairs: {found.candidate}"
    stages = [
        funnel.Stage(
            name=stage, n=getattr(found, stage), losses=tuple((loss.n, loss.reason) for loss in found.losses if loss.stage == stage)
        )
        for stage in STAGES
    ]
    said = ", ".join(f"{stage.name} {stage.n:,}" for stage in stages)
    rows = [
        (stage, f"{getattr(found, stage):,}", "; ".join(f"{one.n:,} {one.reason}" for one in found.losses if one.stage == stage))
        for stage in STAGES
    ]
    heading = Heading(name=f"funnel-{found.candidate}", title=title, description=said)
    apart = [loss for loss in found.losses if loss.stage not in STAGES]
    return Drawn(
        svg=funnel.draw(funnel.Funnel(heading=heading, stages=tuple(stages))),
        title=title,
        caption=_funnel_caption(found),
        columns=("stage", "requests", "lost before it, and why"),
        rows=(*rows, *((loss.stage, "-", f"{loss.n:,} {loss.reason}") for loss in apart)),
        left=("lost before it, and why",),
    )


def _funnel_caption(found: Counted) -> str:
    if not found.eligible:
        return "No request that could be shown has come yet."
    part = f"{found.paired:,} of {found.eligible:,} requests ({share(found.paired / found.eligible)}) became a pair"
    apart = "".join(
        (
            f"; {found.duplicate:,} asked what was asked before and count once" if found.duplicate else "",
            f"; {found.fallback:,} were answered by the baseline, because the candidate's breaker was open"
            if found.fallback
            else "",
        )
    )
    return f"{part}{apart}. Every loss has its reason; a request that the candidate failed is still a pair."


def confusion_drawing(found: Confusion, baseline: str) -> Drawn:
    """Labels of the same requests."""
    title = f"Labels: {baseline} against {found.candidate}"
    drawn = confusion.Matrix(
        heading=Heading(name=f"labels-{found.candidate}", title=title, description=_label_words(found)),
        labels=found.labels,
        counts=found.counts,
        baseline=baseline,
        candidate=found.candidate,
    )
    return Drawn(
        svg=confusion.draw(drawn),
        title=title,
        caption=_label_words(found),
        columns=("baseline \\ candidate", *found.labels),
        rows=tuple((name, *(f"{n:,}" for n in counts)) for name, counts in zip(found.labels, found.counts, strict=True)),
    )


def _label_words(found: Confusion) -> str:
    kappa = f"no kappa: {found.reason}" if found.reason else ""
    if found.kappa is not None:
        between = f"{found.kappa_lower:.3f} to {found.kappa_upper:.3f}" if found.kappa_lower is not None else "no interval"
        kappa = f"kappa, agreement beyond chance, is {found.kappa:.3f} ({between}, valid for one look only)"
    moves = "; ".join(f"{move.baseline} became {move.candidate} {move.n:,} times" for move in found.moves[:3])
    parts = (f"{share(found.equal)} of {found.n:,} have the same label", kappa, f"most often {moves}" if moves else "")
    return f"{'; '.join(part for part in parts if part)}. That two agree does not say that they are right."


def number_drawings(sample: DifferenceSample, numbers: Numbers | None) -> Iterator[Drawn]:
    """Bland-Altman and the histogram of the newest pairs; bias and limits are those of all pairs."""
    limits = None
    if numbers is not None and numbers.lower_limit is not None and numbers.upper_limit is not None:
        limits = (numbers.lower_limit, numbers.upper_limit)
    title = f"Numbers of the same requests: {sample.candidate}"
    said = sample.sentence
    if numbers is not None and numbers.bias is not None and limits is not None:
        said = (
            f"Over all {numbers.n:,} pairs the mean difference is {numbers.bias:.4g}, and 95% of the differences lie from "
            f"{limits[0]:.4g} to {limits[1]:.4g}. {sample.sentence}"
        )
    drawn = bland_altman.Differences(
        heading=Heading(name=f"numbers-{sample.candidate}", title=title, description=said),
        points=sample.points,
        bias=numbers.bias if numbers else None,
        limits=limits,
    )
    yield Drawn(
        svg=bland_altman.draw(drawn),
        title=title,
        caption=f"{said} A slope or a fan says that the difference depends on the size of the number.",
        columns=("mean of both", "candidate - baseline"),
        rows=tuple((f"{mean:.6g}", f"{difference:.6g}") for mean, difference in sample.points[:LISTED]),
        more=f"The newest {min(LISTED, len(sample.points))} of {len(sample.points)} points drawn; the JSON report lists them all.",
    )
    yield _histogram(sample)


def _histogram(sample: DifferenceSample) -> Drawn:
    title = f"How large the differences are: {sample.candidate}"
    bins = tuple(histogram.Bin(low=one.low, high=one.high, n=one.n) for one in sample.bins)
    heading = Heading(name=f"differences-{sample.candidate}", title=title, description=sample.sentence)
    return Drawn(
        svg=histogram.draw(histogram.Histogram(heading=heading, title="candidate - baseline", unit="value", bins=bins)),
        title=title,
        caption=f"{sample.sentence} The upright line is no difference.",
        columns=("difference from", "to", "pairs"),
        rows=tuple((f"{one.low:.4g}", f"{one.high:.4g}", f"{one.n:,}") for one in bins if one.n),
    )


def latency_drawings(report: Report) -> Iterator[Drawn]:
    """For each candidate both sides of its pairs, then what arms answered to clients."""
    groups: dict[str, list[LatencyCurve]] = {}
    for curve in report.curves:
        groups.setdefault(curve.of, []).append(curve)
    for place, (of, curves) in enumerate(groups.items()):
        title = f"Latency on the same requests: {of}" if of else "Latency of answers to clients"
        said = " ".join(f"{one.arm}: {', '.join(_quantiles(one))} (n {one.n:,})." for one in curves)
        drawn = latency.Latencies(
            heading=Heading(name=f"latency-{place}", title=title, description=said),
            curves=tuple(latency.Curve(label=f"{one.arm} (n {one.n:,})", points=one.points) for one in curves),
        )
        yield Drawn(
            svg=latency.draw(drawn),
            title=title,
            caption=(
                f"{said} The further left a curve, the faster. Times are to the last byte, known to 1%"
                f"{', of pairs in which neither answer broke' if of else ''}."
            ),
            columns=("arm", "n", *(f"p{q * 100:g}, ms" for q in QUANTILES)),
            rows=tuple((one.arm, f"{one.n:,}", *(_ms(one.quantiles.get(str(q))) for q in QUANTILES)) for one in curves),
        )


def _quantiles(curve: LatencyCurve) -> list[str]:
    return [f"p{float(q) * 100:g} {ms:.3g} ms" for q, ms in curve.quantiles.items()]


def _ms(value: float | None) -> str:
    return "too few" if value is None else f"{value:.4g}"
