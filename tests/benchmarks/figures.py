"""What one measured run found, and the middle of several."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class UnfitError(Exception):
    """Something did not pass on all it got, as it got it: what it costs to do so means nothing."""


class Run(NamedTuple):
    """`parts` are measures by part of the program (CPU in microseconds per answer, memory in MiB), `values` those of the whole."""

    parts: Mapping[str, Mapping[str, float]]
    values: Mapping[str, float]

    def measure(self, name: str, part: str = "") -> float:
        """One measure of one part, or of the whole tree."""
        found = self.parts[name]
        return found.get(part, 0.0) if part else sum(found.values())


Runs = Mapping[str, Sequence[Run]]  # by contestant, in the order of the rounds


def middle(runs: Sequence[Run], value: str) -> float:
    """The median of a value."""
    return statistics.median(run.values[value] for run in runs)


def middle_of(runs: Sequence[Run], name: str, *, part: str = "") -> float:
    """The median of a measure."""
    return statistics.median(run.measure(name, part) for run in runs)


def ratio(runs: Sequence[Run], base: Sequence[Run], *, name: str, part: str = "") -> float:
    """The median of the ratios to another contestant, each taken within a round: a drift of the machine's speed does not count."""
    return statistics.median(ours.measure(name, part) / theirs.measure(name) for ours, theirs in zip(runs, base, strict=True))


def per(seconds: Mapping[str, float], count: float) -> dict[str, float]:
    """Microseconds for each of `count`, by part."""
    return {part: spent / count * 1e6 for part, spent in seconds.items()}
