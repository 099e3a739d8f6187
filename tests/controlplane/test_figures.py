"""Every figure against the numbers it was drawn from: parsed as XML, measured, and asked to bear what data can be."""

import math
import re
from collections.abc import Callable
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl.controlplane.figures import bland_altman, confusion, forest, funnel, histogram, latency, over_time
from modelctl.controlplane.figures.scale import Scale, compact, linear, logarithmic, number, ticks, time_ticks
from modelctl.controlplane.figures.style import STYLE
from modelctl.controlplane.figures.svg import WIDTH, Heading

HEADING = Heading(name="one", title="A title", description="What it says")
HOSTILE = ("<script>alert(1)</script>", "\u202eevil\u202c", "\x00\x1b[31m\ud800", "שלום", "]]>&lt;", "a" * 5_000, "", '"onload="x')
AT = 1_700_000_000_000.0
ENDS = st.none() | st.floats()
NUMBERS = st.floats() | st.sampled_from((1e9, -1e9, 0.0, 5e-324, 1.7e308, -1.7e308, math.inf, math.nan))
SVG = "{http://www.w3.org/2000/svg}"
TAGS = {f"{SVG}{tag}" for tag in ("svg", "title", "desc", "g", "line", "path", "rect", "circle", "text")}


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text)  # noqa: S314 we wrote it


def found(root: ElementTree.Element, tag: str, class_: str) -> list[ElementTree.Element]:
    return [one for one in root.iter(f"{SVG}{tag}") if class_ in one.get("class", "").split()]


def told(root: ElementTree.Element) -> str:
    return " ".join("".join(one.itertext()) for one in root.iter(f"{SVG}text"))


def places(root: ElementTree.Element) -> list[tuple[float, float]]:
    """Every point that something is drawn at. Slanted names have a place of their own."""
    here: list[tuple[float, float]] = []
    for one in root.iter():
        get = one.get
        if one.tag == f"{SVG}line":
            here += [(float(get("x1", "")), float(get("y1", ""))), (float(get("x2", "")), float(get("y2", "")))]
        if one.tag == f"{SVG}rect":
            x, y = float(get("x", "")), float(get("y", ""))
            here += [(x, y), (x + float(get("width", "")), y + float(get("height", "")))]
        if one.tag == f"{SVG}circle":
            here.append((float(get("cx", "")), float(get("cy", ""))))
        if one.tag == f"{SVG}path":
            here += [(float(x), float(y)) for x, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", get("d", ""))]
        if one.tag == f"{SVG}text":
            here.append((float(get("x", "")), float(get("y", ""))))
    return here


def sound(text: str) -> ElementTree.Element:
    """It is XML with a title and a description, holds no script, and draws inside its paper."""
    root = parsed(text)
    assert root.get("role") == "img"
    named = [one.text for one in root if one.get("id") in root.get("aria-labelledby", "").split()]
    assert len(named) == 2
    assert {one.tag for one in root.iter()} <= TAGS
    _, _, width, height = map(float, root.get("viewBox", "").split())
    assert width == WIDTH
    for x, y in places(root):
        assert -0.01 <= x <= width + 0.01
        assert -0.01 <= y <= height + 0.01
    return root


def interval(lower: float | None, upper: float | None, **changed: object) -> forest.Interval:
    wanted = {"label": "error rate", "estimate": 0.5, "words": "in words"} | changed
    return forest.Interval(lower=lower, upper=upper, **wanted)  # type: ignore[arg-type]


def a_forest(*intervals: forest.Interval, **changed: object) -> forest.Forest:
    marks = (forest.Mark(value=0.0, label="no harm"), forest.Mark(value=1.0, label="margin", limit=True))
    return forest.Forest(heading=HEADING, title="harm", unit="margin", intervals=intervals, marks=marks, **changed)  # type: ignore[arg-type]


def test_the_margin_and_the_interval_stand_where_their_numbers_are() -> None:
    asked = a_forest(interval(-1.0, 2.0), interval(0.25, 0.75))
    root, scale = sound(forest.draw(asked)), forest.scale_of(asked)
    (limit,) = found(root, "line", "fig-limit")
    assert float(limit.get("x1", "")) == pytest.approx(scale.at(1.0), abs=0.01)
    whiskers = [one for one in found(root, "line", "fig-whisker") if one.get("y1") == one.get("y2")]
    drawn = [(float(one.get("x1", "")), float(one.get("x2", ""))) for one in whiskers]
    assert drawn == [
        pytest.approx((scale.at(-1.0), scale.at(2.0)), abs=0.01),
        pytest.approx((scale.at(0.25), scale.at(0.75)), abs=0.01),
    ]
    # A third of the way from -1 to 2 is 0, on paper as in numbers.
    assert scale.at(0.0) - scale.at(-1.0) == pytest.approx((scale.at(2.0) - scale.at(-1.0)) / 3)


def test_what_has_no_end_or_lies_outside_has_an_arrow_there() -> None:
    root = sound(forest.draw(a_forest(interval(None, 0.5), interval(-0.5, 9.0, estimate=8.0), limits=(-2.0, 3.0))))
    assert len(found(root, "path", "fig-arrow")) == 2
    assert not found(root, "circle", "fig-dot"), "an estimate outside is not drawn where it is not"


@pytest.mark.parametrize(
    ("proof", "tag", "class_"), [("worse", "rect", "fig-dot"), ("safe", "circle", "fig-dot"), ("open", "circle", "fig-ring")]
)
def test_a_finding_is_told_by_its_shape_too(proof: str, tag: str, class_: str) -> None:
    root = sound(forest.draw(a_forest(interval(0.2, 0.8, proof=forest.Proof(proof)))))
    assert len(found(root, tag, class_)) == 1


def test_a_metric_without_data_has_its_words_and_no_interval() -> None:
    root = sound(forest.draw(a_forest(interval(None, None, words="no data yet", known=False))))
    assert not found(root, "line", "fig-whisker")
    assert "no data yet" in told(root)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, ENDS), max_size=4), st.booleans())
def test_a_forest_bears_any_numbers(ends: list[tuple[float, float, float | None]], log: bool) -> None:
    lines = [interval(low, high, estimate=middle) for low, high, middle in ends if low <= high and middle == middle]
    sound(forest.draw(a_forest(*lines, log=log)))


def a_course(*looks: over_time.Look, **changed: object) -> over_time.Course:
    return over_time.Course(heading=HEADING, title="harm", unit="points", looks=looks, **changed)  # type: ignore[arg-type]


def test_the_interval_over_time_has_its_margin_its_stages_and_its_crossing_where_they_are() -> None:
    looks = [over_time.Look(at=AT + n * 60_000, lower=-0.1, estimate=0.0, upper=0.1) for n in range(11)]
    asked = a_course(
        *looks,
        margin=0.05,
        null=0.0,
        stages=(over_time.Moment(at=AT, label="first"), over_time.Moment(at=AT + 300_000, label="second")),
        proven=over_time.Moment(at=AT + 600_000, label="proven"),
    )
    root, (across, up) = sound(over_time.draw(asked)), over_time.scales_of(asked)
    assert [float(one.get("y1", "")) for one in found(root, "line", "fig-limit")] == [pytest.approx(up.at(0.05), abs=0.01)]
    assert [float(one.get("x1", "")) for one in found(root, "line", "fig-stage")] == [
        pytest.approx(across.at(AT)),
        pytest.approx((across.start + across.end) / 2),
    ]
    assert [float(one.get("x1", "")) for one in found(root, "line", "fig-proven")] == [pytest.approx(across.end)]
    assert "2 second" in told(root)
    (band,) = found(root, "path", "fig-band")
    heights = [float(y) for _, y in re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", band.get("d", ""))]
    assert heights == pytest.approx([up.at(0.1)] * 11 + [up.at(-0.1)] * 11, abs=0.01)


@given(st.lists(st.tuples(ENDS, ENDS, ENDS), max_size=6), ENDS)
def test_a_course_bears_any_numbers(ends: list[tuple[float | None, float | None, float | None]], margin: float | None) -> None:
    looks = [
        over_time.Look(at=AT + place * 60_000, lower=low, estimate=middle, upper=high)
        for place, (low, middle, high) in enumerate(ends)
        if all(one is None or one == one for one in (low, middle, high))
    ]
    sound(over_time.draw(a_course(*looks, margin=None if margin != margin else margin)))


def test_one_look_is_an_upright_line_and_none_a_sentence() -> None:
    root = sound(over_time.draw(a_course(over_time.Look(at=AT, lower=-0.1, estimate=0.0, upper=0.1))))
    assert len(found(root, "line", "fig-whisker")) == 1
    assert told(sound(over_time.draw(a_course()))) == "no interval yet"


def test_a_matrix_shows_every_count_in_its_cell_and_frames_agreement() -> None:
    matrix = confusion.Matrix(heading=HEADING, labels=("no", "yes"), counts=((80, 9), (0, 1_234_567)), baseline="a", candidate="b")
    root = sound(confusion.draw(matrix))
    assert len(found(root, "rect", "fig-diagonal")) == 2
    cells = {"".join(one.itertext()) for one in root.iter(f"{SVG}title")}
    assert {"no → no: 80, 89.9% of the row", "no → yes: 9, 10.1% of the row", "yes → no: 0, 0.0% of the row"} < cells
    assert "1.23M" in told(root)
    shades = [float(one.get("fill-opacity", "")) for one in found(root, "rect", "fig-shade")]
    assert shades == [0.76, 0.09, 0.0, 0.85]


@pytest.mark.parametrize("labels", [1, 2, 5, 21])
def test_a_matrix_fits_on_the_paper(labels: int) -> None:
    names = (*HOSTILE, *map(str, range(30)))[:labels]
    sound(
        confusion.draw(
            confusion.Matrix(heading=HEADING, labels=names, counts=((7,) * labels,) * labels, baseline="a", candidate="b")
        )
    )


def test_bland_altman_draws_each_pair_and_the_levels() -> None:
    asked = bland_altman.Differences(
        heading=HEADING, points=((10.0, 1.0), (20.0, -1.0), (math.nan, 1.0)), bias=0.5, limits=(-2.0, 3.0)
    )
    root, (across, up) = sound(bland_altman.draw(asked)), bland_altman.scales_of(asked)
    (dots,) = found(root, "path", "fig-dots")
    drawn = [(float(x), float(y)) for x, y in re.findall(r"M(-?[\d.]+) (-?[\d.]+)", dots.get("d", ""))]
    assert drawn == [pytest.approx((across.at(x), up.at(y)), abs=0.01) for x, y in asked.points[:2]]
    assert [float(one.get("y1", "")) for one in found(root, "line", "fig-limit")] == [
        pytest.approx(up.at(3.0), abs=0.01),
        pytest.approx(up.at(-2.0), abs=0.01),
    ]


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=6))
def test_bland_altman_bears_any_numbers(points: list[tuple[float, float]]) -> None:
    sound(bland_altman.draw(bland_altman.Differences(heading=HEADING, points=tuple(points))))


@given(st.lists(st.floats(-1e300, 1e300), max_size=30))
def test_a_histogram_loses_no_value_and_draws_them_in_proportion(values: list[float]) -> None:
    bins = histogram.bins_of(tuple(values))
    assert sum(one.n for one in bins) == len(values)
    assert all(one.high == pytest.approx(other.low) for one, other in pairwise(bins))
    root = sound(histogram.draw(histogram.Histogram(heading=HEADING, title="difference", unit="value", bins=bins)))
    heights = [float(one.get("height", "")) for one in found(root, "rect", "fig-bar")]
    counts = [one.n for one in bins if one.n]
    full = histogram.BOTTOM - histogram.TOP
    assert heights == [pytest.approx(full * n / max(counts), abs=0.02) for n in counts]


def test_latency_curves_rise_where_the_values_are() -> None:
    curves = (latency.Curve(label="a", points=((1.0, 0.5), (10.0, 1.0))), latency.Curve(label="b", points=((100.0, 1.0),)))
    asked = latency.Latencies(heading=HEADING, curves=curves)
    root, (across, up) = sound(latency.draw(asked)), latency.scales_of(asked)
    first = latency.steps(curves[0], across, up=up)
    assert first == [
        (across.at(1.0), up.at(0.0)),
        (across.at(1.0), up.at(0.0)),
        (across.at(1.0), up.at(0.5)),
        (across.at(10.0), up.at(0.5)),
        (across.at(10.0), up.at(1.0)),
    ]
    assert {one.get("class") for one in root.iter(f"{SVG}path")} == {"fig-line fig-dash0", "fig-line fig-dash1"}
    assert across.at(10.0) - across.at(1.0) == pytest.approx(across.at(100.0) - across.at(10.0))


@given(st.lists(st.tuples(NUMBERS, st.floats(0, 1)), max_size=6))
def test_latency_bears_any_numbers(points: list[tuple[float, float]]) -> None:
    curve = latency.Curve(label="a", points=tuple(point for point in points if math.isfinite(point[0])))
    sound(latency.draw(latency.Latencies(heading=HEADING, curves=(curve,))))


def test_a_funnel_is_as_wide_as_its_counts_and_names_its_losses() -> None:
    stages = (
        funnel.Stage(name="eligible", n=1_000_000_000),
        funnel.Stage(name="sent", n=250_000_000, losses=((750_000_000, "not drawn"),)),
        funnel.Stage(name="paired", n=1),
        funnel.Stage(name="none", n=0),
    )
    root = sound(funnel.draw(funnel.Funnel(heading=HEADING, stages=stages)))
    widths = [float(one.get("width", "")) for one in found(root, "rect", "fig-bar")]
    assert widths == [funnel.LONGEST, funnel.LONGEST / 4, 1.5]
    assert "− 750,000,000 not drawn" in told(root)
    assert "250,000,000 (25%)" in told(root)


@given(st.lists(st.integers(0, 10**18), max_size=6))
def test_a_funnel_bears_any_counts(counts: list[int]) -> None:
    sound(funnel.draw(funnel.Funnel(heading=HEADING, stages=tuple(funnel.Stage(name=str(n), n=n) for n in counts))))


DRAWN: tuple[Callable[[str], str], ...] = (
    lambda text: forest.draw(a_forest(interval(0.0, 1.0, label=text, words=text, detail=text))),
    lambda text: over_time.draw(
        a_course(over_time.Look(at=AT, lower=0, estimate=0, upper=1), stages=(over_time.Moment(at=AT, label=text),))
    ),
    lambda text: confusion.draw(confusion.Matrix(heading=HEADING, labels=(text,), counts=((1,),), baseline=text, candidate=text)),
    lambda text: latency.draw(latency.Latencies(heading=HEADING, curves=(latency.Curve(label=text, points=((1.0, 1.0),)),))),
    lambda text: funnel.draw(
        funnel.Funnel(
            heading=Heading(name=text, title=text, description=text), stages=(funnel.Stage(name=text, n=1, losses=((1, text),)),)
        )
    ),
)


@pytest.mark.parametrize("draw", DRAWN)
@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_breaks_out_of_a_figure(draw: Callable[[str], str], text: str) -> None:
    drawn = draw(text)
    sound(drawn)
    drawn.encode()
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", drawn)


@given(st.text())
def test_any_text_is_shown_as_text(text: str) -> None:
    sound(DRAWN[0](text))


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=8), st.booleans())
def test_scales_are_monotone_and_their_ticks_round_and_inside(values: list[float], log: bool) -> None:
    scale = (logarithmic if log else linear)(values, start=10.0, end=110.0)
    assert scale.low < scale.high
    inside = [value for value in sorted(values) if math.isfinite(value) and abs(value) < 1e120 and (value > 1e-120 or not log)]
    drawn = [scale.at(value) for value in inside]
    assert drawn == sorted(drawn)
    assert all(10.0 <= place <= 110.0 for place in drawn)
    chosen = ticks(scale)
    assert chosen == sorted(set(chosen))
    assert 1 <= len(chosen) <= 12
    assert all(scale.low - 1e-9 * abs(scale.low) <= tick <= scale.high + 1e-9 * abs(scale.high) for tick in chosen)


@given(st.integers(0, 4 * 10**12), st.integers(1, 4 * 10**12))
def test_times_have_few_round_ticks(start: int, lasts: int) -> None:
    scale = Scale(low=start, high=start + lasts, start=0, end=1)
    chosen = time_ticks(scale)
    assert len(chosen) <= 8
    assert all(tick % 60_000 == 0 and scale.holds(tick) for tick in chosen)


def test_numbers_stand_in_their_units() -> None:
    assert [number(0.0312, unit) for unit in ("share", "points", "ratio", "value")] == ["3.12%", "3.12 pt", "0.0312×", "0.0312"]
    assert [number(12.5, "ms"), number(2_500.0, "ms"), number(-1.5e9, "value"), number(0.0, "points")] == [
        "12.5 ms",
        "2.5 s",
        "-1.5e9",
        "0 pt",
    ]
    assert [compact(n) for n in (0, 9_999, 12_345, 4_000_000, 10**9)] == ["0", "9999", "12.3k", "4M", "1G"]


def test_the_style_sheet_knows_every_class_and_asks_for_nothing_outside() -> None:
    used = {name for draw in DRAWN for one in parsed(draw("x")).iter() for name in one.get("class", "").split()}
    bare = {"fig-open", "fig-stages"}
    assert {name for name in used if f".{name}" not in STYLE} <= bare
    assert "url(" not in STYLE
    assert "@import" not in STYLE
    assert "prefers-color-scheme:dark" in STYLE
    assert "@media print" in STYLE
