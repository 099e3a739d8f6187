"""What the hot path counts: plain numbers that only grow, read once a second by the worker's report."""

from typing import Final

from modelctl import counts, evidence

_OK: Final = 0
_CLIENT_ERROR: Final = 1
_BACKEND_ERROR: Final = 2
_TIMEOUT: Final = 3
_CANCELLED: Final = 4
_SWITCHED: Final = 5
_EDGES: Final[list[int]] = [*counts.EDGES, *counts.LONG_EDGES]


def outcome_of(status: int, failure: str) -> int:
    """The place in OUTCOMES of an answer: what `kinds` says of the same answer without a body."""
    if status == 101:
        return _SWITCHED
    if failure:
        if failure == evidence.TIMEOUT:
            return _TIMEOUT
        return _CANCELLED if failure == evidence.CLIENT_GONE else _BACKEND_ERROR
    if 200 <= status < 300 or status == 304:
        return _OK
    if status in (408, 504):
        return _TIMEOUT
    return _CLIENT_ERROR if 400 <= status < 500 and status != 429 else _BACKEND_ERROR


def trace_of(id_: bytes, parent: bytes) -> str:
    """The trace id that the backend was given: that of the client's traceparent, else the request's own."""
    return parent[3:35].decode() if parent else id_.hex()


class ArmCounts:
    """The answers of one arm of one route. `outcomes` and `durations` are in the order of OUTCOMES and of the edges, `took` is µs.

    `fates` counts the copies that were not sent, by why. The slowest timed answer since the last look is the exemplar.
    """

    __slots__ = ("at", "durations", "fates", "outcomes", "slowest", "took", "trace")

    def __init__(self) -> None:
        self.outcomes: list[int] = [0] * len(counts.OUTCOMES)
        self.durations: list[int] = [0] * (len(_EDGES) + 1)
        self.took = 0
        self.fates: dict[str, int] = {}
        self.slowest = -1
        self.trace = ""
        self.at = 0

    def answered(self, status: int, failure: str, *, took: int) -> bool:
        """One more answer, after `took` microseconds. Whether it is the slowest so far: then `exemplify` it.

        Failing fast is not being fast: only complete answers and timeouts are timed. A tunnel is no answer.
        """
        outcome = _OK if status == 200 and not failure else outcome_of(status, failure)
        self.outcomes[outcome] += 1
        if (failure and outcome != _TIMEOUT) or outcome == _SWITCHED:
            return False
        number = 0
        for edge in _EDGES:
            if took <= edge:
                break
            number += 1
        self.durations[number] += 1
        self.took += took
        return took > self.slowest

    def exemplify(self, took: int, trace: str, *, at: int) -> None:
        """This one is the slowest; `at` is Unix µs."""
        self.slowest = took
        self.trace = trace
        self.at = at

    def skipped(self, fate: str) -> None:
        """A copy was not sent."""
        self.fates[fate] = self.fates.get(fate, 0) + 1
