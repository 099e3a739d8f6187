"""What stands out, and examples whole: both answers side by side and the commands that ask again, in a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from modelctl.cli.figures import drawn_between, figure
from modelctl.cli.output import line, plain, say, show
from modelctl.cli.quantities import moment, number
from modelctl.cli.report_answer import Report
from modelctl.cli.report_parts_answer import Disagreement, StandsOut


def standing_out_parts(report: Report) -> Iterator[RenderableType]:
    """The first screen: the slice, its interval, its examples and the command that opens them."""
    if not report.standing_out.sentence:
        return
    yield Text.assemble(("\nWhat stands out  ", "bold"), plain(report.standing_out.sentence))
    for one in report.standing_out.first:
        yield from _stands_out(one)


def _stands_out(one: StandsOut) -> Iterator[Text]:
    cut = one.slice
    yield line(f"  {cut.sentence}")
    yield from (line(f"  {sentence}") for sentence in one.also)
    known = cut.measure
    picture = drawn_between(known.lower, known.estimate, upper=known.upper, null=known.null)
    if picture:
        yield line(f"  {picture}  {figure(known.lower, known.unit)} to {figure(known.upper, known.unit)}, | is no difference")
    if one.examples is None:
        return
    yield from (line(f"  example {said(example)}") for example in one.examples.found)
    yield Text.assemble("  open them: ", (plain(one.examples.command), "bold"))


def show_slice(report: Report, wanted: str) -> None:
    """The examples of the slice DIMENSION=VALUE, whole."""
    mine = [one for one in report.examples if f"{one.dimension}={one.value}" == wanted]
    if not mine:
        say(f"no example of {wanted} is recorded")
    for one in mine:
        show(line(f"{one.dimension} {one.value}: {one.kind} of {one.candidate}", style="bold"))
        _show_whole(one.found)
        if one.note:
            say(one.note)


def show_worst(report: Report) -> None:
    """The worst disagreements, whole."""
    if not report.worst:
        say("none recorded")
    _show_whole(report.worst)


def said(one: Disagreement) -> str:
    """One line: which request, and what was said of it."""
    difference = "" if one.difference is None else f" (difference {number(one.difference)})"
    truth = f", true was {one.truth}" if one.truth else ""
    baseline = f"baseline said {one.baseline_prediction}, " if one.baseline_prediction else ""
    return f"{one.request_id}: {baseline}{one.candidate} said {one.candidate_prediction}{truth}{difference}"


def _show_whole(found: Sequence[Disagreement]) -> None:
    for one in found:
        show(line(f"\n{said(one)}", style="bold"))
        say(f"{moment(one.at)}{' · redacted before it was recorded' if one.redacted else ''}")
        show(line(f"request: {one.request_preview}"))
        show(_side_by_side(one))
        if one.remark:
            say(one.remark)
        for again in one.commands:
            show(line(f"ask {again.backend} again:", style="dim"))
            # On one line, so that it can be copied: what could steer a terminal is in no command.
            say(again.command)


def _side_by_side(one: Disagreement) -> Table:
    grid = Table.grid(padding=(0, 3), expand=False)
    sides = [("baseline", one.baseline_preview)] if one.baseline_prediction else []
    sides.append((one.candidate, one.candidate_preview))
    for _ in sides:
        grid.add_column(overflow="fold", ratio=1)
    grid.add_row(*(line(name, style="dim") for name, _ in sides))
    grid.add_row(*(line(text or "(empty)") for _, text in sides))
    return grid
