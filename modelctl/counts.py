"""What a router's worker counts, as it tells the control plane: numbers under keys, what came since its last report.

A key is the name of a count and what it is about, such as `("requests", "fraud", "fraud-v7", "ok")`. A report that has not been
taken is sent again with the same number: nothing is counted twice, and nothing is lost while there is no control plane.
"""

from bisect import bisect_left

import msgspec

Key = tuple[str, ...]

ANSWERING, SHOWN = "requests", "shadow"
"""The first word of the keys of answers to clients, and of answers to copies."""
OUTCOMES = ("ok", "client_error", "backend_error", "timeout", "cancelled", "switched")
"""What a router knows of an answer: its status and how it ended, never its body."""
RESULTS = (*OUTCOMES[:-1], *(f"skipped_{fate}" for fate in ("too_large", "inflight", "aborted", "upgrade", "shed")))
"""What became of a copy: its answer's outcome, or the fate of one that was not sent (see evidence)."""
DROPS = BUFFER_FULL, SPOOL_FULL, DISK_FULL, WRITE_FAILED = "buffer-full", "spool-full", "disk-full", "write-failed"
"""Why a record was dropped."""
EDGES = (500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000)
"""The upper edges of a duration's buckets in microseconds, followed by LONG_EDGES; the last bucket has none."""
LONG_EDGES = (1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000)
_ALL_EDGES = (*EDGES, *LONG_EDGES)
BUCKETS = (*map(str, _ALL_EDGES), "inf")
"""A duration's buckets in keys: each by its upper edge."""
MOST_CHANGES = 4_000  # of one report: more go into the next


class Exemplar(msgspec.Struct, frozen=True, array_like=True):
    """One request that stands for others: the slowest of the time between two reports. Times are Unix µs and µs."""

    key: Key
    trace: str
    took: int
    at: int


class Gauge(msgspec.Struct, frozen=True, array_like=True):
    """What a worker measures now."""

    key: Key
    value: float


class Written(msgspec.Struct, frozen=True, array_like=True):
    """How far a worker's spool is: its name, records accepted, and bytes written, both since its boot."""

    spool: str = ""
    accepted: int = 0
    size: int = 0


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker counted since its last report, and how it stands. `boot` is unique; its reports are numbered from 1.

    `last` says that the worker ends.
    """

    worker: str
    boot: str
    number: int
    changes: tuple[tuple[Key, int], ...] = ()
    gauges: tuple[Gauge, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    written: Written = Written()
    last: bool = False


def worded(word: str) -> str:
    """A word of this program as a label of a metric."""
    return word.replace("-", "_")


def bucket_of(took: int) -> str:
    """The one of BUCKETS that a duration falls into: the first whose edge it does not exceed."""
    return BUCKETS[bisect_left(_ALL_EDGES, took)]
