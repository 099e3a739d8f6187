"""GrowthBook's own engine (gbstats on PyPI), where it is installed: its fixed and its sequential test, with their defaults.

It has no stages: on a ramp it sees the rows of all of them in one heap, as its users would give them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from modelctl.statistics.arrays import Floats
from tests.benchmarks.verdicts.rules import ALPHA, Rule
from tests.benchmarks.verdicts.streams import Streams

try:
    from gbstats.frequentist.tests import SequentialTwoSidedTTest, TwoSidedTTest
    from gbstats.models.statistics import ProportionStatistic
except ImportError:
    ENGINE: tuple[tuple[str, Callable[..., Any]], ...] = ()
else:
    ENGINE = (("fixed", TwoSidedTTest), ("sequential", SequentialTwoSidedTTest))


def claims(streams: Streams, test: Callable[..., Any]) -> Floats:
    """One test at each look of each run, up to the first claim."""
    heap = streams.counts.over_stages()
    found = np.zeros_like(heap.n_a)
    for run, look in np.ndindex(found.shape):
        if look and found[run, look - 1]:
            found[run, look] = found[run, look - 1]
            continue
        baseline = ProportionStatistic(n=int(heap.n_a[run, look]), sum=int(heap.k_a[run, look]))
        candidate = ProportionStatistic(n=int(heap.n_b[run, look]), sum=int(heap.k_b[run, look]))
        result = test(baseline, candidate).compute_result()
        found[run, look] = np.sign(result.expected) if result.p_value < ALPHA else 0.0
    return found


RULES = tuple(Rule(f"GrowthBook, {name}", partial(claims, test=test)) for name, test in ENGINE)
