"""What is measured of a request, by the rollout (or, outside of rollouts, the route) it fell under."""

from typing import NamedTuple

from modelctl.metric import Dimension, Field
from modelctl.traffic import Arm

# A stage's first minute excuses slowness, of all arms alike; never failures.
WARM_UP = 60_000_000


class Terms(NamedTuple):
    """`arms` are those of the stage. `sticky`: units are kept on their arm, so their requests are not independent. `deduplicate`:
    a candidate that is shown the same question again is not compared on it again. Latencies before `warm_until`, a Unix time in
    microseconds, are those of a stage that has just begun. `slower` are the latency buckets that gates of sticky units draw a line
    behind: slow answers are counted by unit."""

    arms: tuple[Arm, ...] = ()
    fields: tuple[Field, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    sticky: bool = False
    deduplicate: bool = False
    warm_until: int = 0
    slower: tuple[int, ...] = ()
