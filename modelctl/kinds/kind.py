"""The seam for new kinds of model server, and what the kinds share.

A new kind is one file with an object of this protocol, and one line in the registry of `modelctl.kinds`.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from modelctl.errors import ModelctlError
from modelctl.evidence import Answer
from modelctl.kinds.outcome import Outcome, judged
from modelctl.kinds.value import Extraction, Value, bounded
from modelctl.traffic import Backend

PROBLEM_LIMIT = 400


class Probe(NamedTuple):
    """A request that a server of a kind answers with `status` when it is ready. `path` counts from the server's root.

    `demanded`: the kind's specification demands it of every server, so one that answers otherwise is not ready. Else it is only
    what most have, and nobody may be taken for dead by it.
    """

    method: str
    path: str
    status: int
    demanded: bool = False


class Kind(Protocol):
    """How a backend speaks. Pure: the same answer always gives the same result, and neither method below `check` raises.

    `default_prediction` is the place people look at first; it stands in help texts. An empty `Backend.prediction` follows the
    kind's own rule, which may know more places.
    """

    @property
    def name(self) -> str: ...

    @property
    def ready(self) -> Probe: ...

    @property
    def default_prediction(self) -> str: ...

    def check(self, prediction: str) -> None:
        """Raises InvalidInput when `prediction` names no place this kind could look at."""

    def outcome(self, answer: Answer) -> Outcome:
        """What the answer says about its backend."""

    def extract(self, answer: Answer, backend: Backend) -> Extraction:
        """The predictions in the answer, one per instance, or why there are none."""


def extraction(answer: Answer, read: Callable[[], tuple[Value, ...]]) -> Extraction:
    """What `read` finds in an answer that is ok; its errors become the problem. Never raises for what a server sent."""
    outcome = judged(answer)
    if outcome is not Outcome.OK:
        return Extraction((), f"the answer holds no prediction: it is a {outcome} ({answer.failure or f'status {answer.status}'})")
    try:
        return Extraction(read())
    except ModelctlError as error:
        return Extraction((), bounded(str(error), PROBLEM_LIMIT))
    except RecursionError:
        return Extraction((), "the answer is nested too deep to be read")
