"""What becomes of a canary that stops at a rule's first claim, and the tables of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modelctl.statistics.arrays import Floats
from tests.benchmarks.verdicts.rules import Rule
from tests.benchmarks.verdicts.streams import BATCH, Scenario, Streams
from tests.statistics.acceptance.promise import batches


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The first claim of every run: requests until then (inf: never), and its side."""

    requests: Floats
    side: Floats

    @property
    def runs(self) -> int:
        """How many."""
        return len(self.side)

    def share(self, side: float) -> str:
        """Of runs that stopped on this side."""
        return f"{(self.side == side).mean():.1%}"

    @property
    def stopped(self) -> str:
        """Runs that stopped on either side, with the standard error."""
        rate = float((self.side != 0).mean())
        return f"{rate:.1%} ± {np.sqrt(rate * (1 - rate) / self.runs):.1%}"

    def delay(self, quantile: float, *, most: int) -> str:
        """Requests until a run is stopped as worse, at a quantile of all runs; those that never were count as later than `most`."""
        late = np.where(self.side > 0, self.requests, np.inf)
        found = float(np.quantile(late, quantile, method="higher"))
        return f"{found:,.0f}" if np.isfinite(found) else f"> {most:,}"


def outcomes(rule: Rule, streams: Streams) -> Outcomes:
    """Stop each run at the rule's first claim. In parts, as some rules need much memory."""
    sides = []
    start = 0
    for size in batches(len(streams.points[0]), 50):
        sides.append(rule.claims(streams.part(slice(start, start + size))))
        start += size
    claims = np.concatenate(sides)
    first = (claims != 0).argmax(axis=1)
    side = claims[np.arange(len(claims)), first]
    return Outcomes(np.where(side != 0, BATCH * (first + 1.0), np.inf), side)


Found = dict[tuple[str, str], Outcomes]
"""By the titles of rule and scenario."""


def false_alarms(found: Found, rules: Sequence[Rule], *, scenarios: Sequence[Scenario]) -> list[str]:
    """Equal arms: how many runs stop at all, and how many as worse."""
    heads = [part for one in scenarios for part in (f"{one.title}: stopped", "as worse")]
    lines = [row("rule", heads), row("---", ["---"] * len(heads))]
    for rule in rules:
        of = [found[rule.title, one.title] for one in scenarios]
        lines.append(row(rule.title, [part for one in of for part in (one.stopped, one.share(1.0))]))
    return lines


def delays(found: Found, rules: Sequence[Rule], *, scenarios: Sequence[Scenario]) -> list[str]:
    """A worse candidate: requests until it is stopped, median and 95th percentile, and how many were called better."""
    heads = [part for one in scenarios for part in (f"{one.title}: median (p95)", "wrong side")]
    lines = [row("rule", heads), row("---", ["---"] * len(heads))]
    for rule in rules:
        cells = []
        for one in scenarios:
            seen, most = found[rule.title, one.title], one.looks * BATCH
            cells += [f"{seen.delay(0.5, most=most)} ({seen.delay(0.95, most=most)})", seen.share(-1.0)]
        lines.append(row(rule.title, cells))
    return lines


def row(head: str, cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join([head, *cells])} |"
