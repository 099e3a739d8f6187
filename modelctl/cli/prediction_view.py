"""One prediction whole: the request, the answers side by side, and the commands that ask again."""

from collections.abc import Iterator

from rich.table import Table

from modelctl.cli.output import line, say, show
from modelctl.cli.prediction_answer import PairShown, SideShown, Whole
from modelctl.cli.quantities import milliseconds, moment, number


def show_whole(found: Whole) -> None:
    """Everything that was recorded of one request."""
    row = found.prediction
    show(line(f"{row.request_id} · {moment(row.at)} · {row.arm} answered {row.value} ({row.outcome}, {row.status})", style="bold"))
    say(f"prediction {row.id}")
    show(line(f"request: {found.request.told}"))
    if not found.pairs:
        show(line(f"answer: {found.answer.told}"))
    for pair in found.pairs:
        show(line(f"\n{_relation(pair)}", style="bold"))
        show(_side_by_side(pair))
    if found.remark:
        say(found.remark)
    for again in found.commands:
        show(line(f"ask {again.backend} again:", style="dim"))
        # On one line, so that it can be copied: what could steer a terminal is in no command.
        say(again.command)


def _relation(pair: PairShown) -> str:
    both = f"{pair.baseline.backend} and {pair.candidate.backend}"
    if pair.agree is None:
        return f"{both} cannot be compared on it"
    difference = "" if not pair.difference else f" by {number(pair.difference)}"
    return f"{both} agree" if pair.agree else f"{both} differ{difference}"


def _side_by_side(pair: PairShown) -> Table:
    grid = Table.grid(padding=(0, 3), expand=False)
    for _ in range(2):
        grid.add_column(overflow="fold", ratio=1)
    for cells in zip(_lines(pair.baseline), _lines(pair.candidate), strict=True):
        grid.add_row(*(line(cell) for cell in cells))
    return grid


def _lines(side: SideShown) -> Iterator[str]:
    found = [side.label, None if side.number is None else f"{side.number:g}", side.text]
    yield side.backend
    yield next((value for value in found if value is not None), f"no prediction: {side.problem or side.outcome}")
    yield f"{side.outcome}, {side.status}, {milliseconds(side.latency_us / 1_000)}"
    yield side.answer.told
