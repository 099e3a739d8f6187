"""Compares rules on the same streams and prints Markdown: `python -m tests.benchmarks.verdicts [RUNS]`, 1,000 runs unless told.

GrowthBook's engine takes part where `gbstats` can be imported (`pip install gbstats==0.8.0`, in an environment of its own).
"""

import sys

import numpy as np

from tests.benchmarks.verdicts import growthbook, kayenta
from tests.benchmarks.verdicts.outcomes import Found, delays, false_alarms, outcomes
from tests.benchmarks.verdicts.rules import OURS, PEEKED
from tests.benchmarks.verdicts.streams import EQUAL, WORSE

SEED = 2026
RULES = (OURS, *PEEKED, *growthbook.RULES, *kayenta.RULES)


def main(runs: int) -> None:
    """Every rule on every scenario."""
    if not growthbook.RULES:
        print("GrowthBook's engine is not installed here, so its two rows are missing: pip install gbstats==0.8.0\n")
    found: Found = {}
    for scenario in (*EQUAL, *WORSE):
        streams = scenario.draw(np.random.default_rng(SEED), runs)
        found |= {(rule.title, scenario.title): outcomes(rule, streams) for rule in RULES}
    print(f"{runs:,} runs of each, a look every 1,000 requests.\n")
    print(*false_alarms(found, RULES, scenarios=EQUAL), "", *delays(found, RULES, scenarios=WORSE), sep="\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1_000)
