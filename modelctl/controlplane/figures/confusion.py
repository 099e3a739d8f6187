"""Labels of the same requests as a matrix: the darker a cell, the larger its part of its row; agreement is framed. Pure."""

from dataclasses import dataclass

from modelctl.controlplane.figures.scale import compact
from modelctl.controlplane.figures.svg import WIDTH, Heading, cut, drawing, element, empty, label, words

LEFT, FOOT = 170.0, 12.0
_LARGEST, _WIDEST = 40.0, 108.0
_UPRIGHT, _SLANT = 66.0, 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """`counts[row][column]`: rows are the baseline's labels, columns the candidate's, in the order of `labels`."""

    heading: Heading
    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    baseline: str
    candidate: str


def draw(matrix: Matrix) -> str:
    """The figure."""
    if not matrix.labels or not any(map(sum, matrix.counts)):
        return empty(matrix.heading, "no labels of both yet")
    grid = grid_of(len(matrix.labels))
    body = [
        label(f"rows: {matrix.baseline}", at=(0, grid.top - 26), class_="fig-mute", most=24),
        label(f"columns: {matrix.candidate}", at=(0, grid.top - 8), class_="fig-mute", most=24),
    ]
    body += [_column(name, place, grid=grid) for place, name in enumerate(matrix.labels)]
    for row, counts in enumerate(matrix.counts):
        y = grid.top + row * grid.height
        body.append(label(matrix.labels[row], at=(LEFT - 10, y + grid.height / 2 + 4), class_="fig-end", most=24))
        body += [_cell(matrix, (row, column), grid=grid) for column in range(len(counts))]
    return drawing(matrix.heading, grid.top + grid.height * len(matrix.labels) + FOOT, body="".join(body))


@dataclass(frozen=True, slots=True)
class Grid:
    """How wide and high a cell is, and where the first row begins."""

    width: float
    height: float
    top: float


def grid_of(labels: int) -> Grid:
    """All cells fit on the paper; the names of narrow columns are slanted."""
    width = min(_WIDEST, (WIDTH - LEFT - _SLANT) / labels)
    return Grid(width, min(_LARGEST, max(width, 20.0)), 48.0 if width >= _UPRIGHT else 106.0)


def _column(name: str, place: int, *, grid: Grid) -> str:
    x, y, width = LEFT + (place + 0.5) * grid.width, grid.top - 10, grid.width
    if width >= _UPRIGHT:
        return label(name, at=(x, y), class_="fig-mid", most=int(width / 7))
    turned = label(name, at=(0, 0), most=15)
    return element("g", turned, transform=f"translate({x:.2f} {y:.2f}) rotate(-50)")


def _cell(matrix: Matrix, place: tuple[int, int], *, grid: Grid) -> str:
    (row, column), width, height = place, grid.width, grid.height
    n, total = matrix.counts[row][column], sum(matrix.counts[row])
    x, y = LEFT + column * width, grid.top + row * height
    part = n / total if total else 0.0
    said = f"{cut(matrix.labels[row], 24)} → {cut(matrix.labels[column], 24)}: {n:,}, {part:.1%} of the row"
    shade = element("rect", x=x, y=y, width=width, height=height, class_="fig-shade", fill_opacity=round(part * 0.85, 2))
    frame = "fig-cell fig-diagonal" if row == column else "fig-cell"
    inset = element("rect", x=x + 1, y=y + 1, width=width - 2, height=height - 2, class_=frame)
    dark = "fig-on" if part > 0.6 else ""
    small = "" if width >= 36 else " fig-small"
    text = label(compact(n), at=(x + width / 2, y + height / 2 + 4), class_=f"fig-num fig-mid {dark}{small}") if n else ""
    return element("g", element("title", words(said)), shade, inset, text)
