"""A table where it fits, else a line for each of its rows: in a narrow terminal columns would vanish."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

from modelctl.cli.output import line

_WIDE = 10_000


@dataclass(frozen=True)
class Fitting:
    """Either of two ways to show the same."""

    table: Table
    lines: Sequence[str]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich, with the width there is."""
        wanted = Measurement.get(console, options.update(max_width=_WIDE), self.table).maximum
        if wanted <= options.max_width:
            yield self.table
        else:
            yield from (line(text) for text in self.lines)
