"""How alike two predictions are, from 0 to 1, where "the same or not" says too little: texts and rankings. Pure."""

import re
from collections import Counter
from collections.abc import Sequence

from modelctl.kinds.value import Value

PERSISTENCE = 0.9
"""RBO's p: how likely somebody who looked at one place looks at the next. At 0.9 the first ten places weigh 86 %."""

_WORD = re.compile(r"\w+")


def similarity(baseline: Sequence[Value], candidate: Sequence[Value]) -> float | None:
    """The mean over instances; one that only one side has counts 0. None unless all are texts, or all are rankings."""
    values = (*baseline, *candidate)
    if not baseline or not candidate or any(value.text is None for value in values):
        return None
    if len({value.ranking is None for value in values}) > 1:
        return None
    alike = [_alike(a, b) for a, b in zip(baseline, candidate, strict=False)]
    return sum(alike) / max(len(baseline), len(candidate))


def _alike(a: Value, b: Value) -> float:
    if a.text == b.text:
        return 1.0
    if a.ranking is not None and b.ranking is not None:
        return rank_overlap(a.ranking, b.ranking)
    return word_overlap(a.text or "", b.text or "")


def word_overlap(a: str, b: str) -> float:
    """F1 of the words of both texts, each as often as it comes, in any order, without case.

    Source: Rajpurkar et al. (2016), "SQuAD", section 6.1, with every word kept. 1 when neither text has a word.
    """
    left, right = Counter(_WORD.findall(a.casefold())), Counter(_WORD.findall(b.casefold()))
    words = left.total() + right.total()
    return 2 * (left & right).total() / words if words else 1.0


def rank_overlap(a: Sequence[str], b: Sequence[str]) -> float:
    """Extrapolated rank-biased overlap of two lists without repetitions, of any lengths; 1 for equal lists.

    Source: Webber, Moffat & Zobel (2010), "A similarity measure for indefinite rankings", equation 32.
    """
    short, long = sorted((a, b), key=len)
    s, n = len(short), len(long)
    if not s:
        return float(not n)
    overlaps = _overlaps(short, long)
    weighed = sum(overlaps[d - 1] / d * PERSISTENCE**d for d in range(1, n + 1))
    unseen = sum(overlaps[s - 1] * (d - s) / (s * d) * PERSISTENCE**d for d in range(s + 1, n + 1))
    last = ((overlaps[-1] - overlaps[s - 1]) / n + overlaps[s - 1] / s) * PERSISTENCE**n
    return min(1.0, (1 - PERSISTENCE) / PERSISTENCE * (weighed + unseen) + last)


def _overlaps(short: Sequence[str], long: Sequence[str]) -> list[int]:
    """How many items the first d places of both have in common, for each d up to the longer one's length."""
    seen: set[str] = set()
    both, found = 0, []
    for depth, item in enumerate(long):
        here = {item, *short[depth : depth + 1]}
        both += len(here & seen) + (depth < len(short) and item == short[depth])
        seen |= here
        found.append(both)
    return found
