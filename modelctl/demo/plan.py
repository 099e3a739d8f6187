"""Which requests the demonstration's clients send, and when: decided before anything is sent.

The stream is open-loop: a request's time does not depend on how long earlier answers took, so a slow model cannot hide its
slowness by slowing its clients down.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

FEEDBACK_DELAY = (2.0, 6.0)


class Planned(NamedTuple):
    """One request: `at` seconds after the start, row `row` of the traffic, its truth known `feedback_after` seconds later."""

    at: float
    row: int
    user: str
    feedback_after: float


def planned(rows: int, *, rate: float, seconds: float, seed: int) -> Iterator[Planned]:
    """The requests of `seconds` seconds: Poisson arrivals of `rate` a second.

    All rows come once, in random order, before any comes again; each row belongs to one user. The same seed gives the same
    requests.
    """
    chance = random.Random(seed)
    at, waiting = chance.expovariate(rate), list[int]()
    while at < seconds:
        waiting = waiting or chance.sample(range(rows), rows)
        row = waiting.pop()
        yield Planned(at, row, f"user-{row:03d}", chance.uniform(*FEEDBACK_DELAY))
        at += chance.expovariate(rate)
