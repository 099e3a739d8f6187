"""A circuit breaker for each candidate of a route: while it is open the baseline answers. The circuit knows no clock.

Two signals (those of linkerd's unified breaker): failures in a row trip fast, a share of failures trips on a partial outage. A
result counts only while the circuit is in the state in which its request was let through: late answers of an outage neither
open a circuit again nor close it.
"""

from collections.abc import Callable
from typing import Final

from modelctl import evidence
from modelctl.policy import Breaker
from modelctl.router.clock import Clock
from modelctl.router.window import Window

CLOSED: Final = "closed"  # every request is let through
OPEN: Final = "open"  # none is
HALF_OPEN: Final = "half-open"  # some are, as probes

_TRIPPED: Final = "tripped"
_RESTED: Final = "rested"
_FAILED: Final = "failed"
_PROVEN: Final = "proven"

_MOVES: Final[dict[tuple[str, str], str]] = {
    (CLOSED, _TRIPPED): OPEN,
    (OPEN, _RESTED): HALF_OPEN,
    (HALF_OPEN, _FAILED): OPEN,
    (HALF_OPEN, _PROVEN): CLOSED,
}

# What an answer says about a candidate.
SUCCESS: Final = 0
FAILURE: Final = 1
NEITHER: Final = 2

_FAILURES = frozenset({evidence.CONNECT, evidence.TLS, evidence.TIMEOUT, evidence.RESET, evidence.INVALID, evidence.TRUNCATED})


def judge(status: int, failure: str) -> int:
    """SUCCESS, FAILURE or NEITHER. A client that left, the router's own limits and 429 say nothing about a model's health."""
    if failure:
        return FAILURE if failure in _FAILURES else NEITHER
    if status == 429:
        return NEITHER
    return FAILURE if status >= 500 else SUCCESS


class Circuit:
    """The state machine of one breaker. Times are seconds that never go back."""

    __slots__ = ("_in_a_row", "_opened", "_policy", "_probes", "_ticket", "_window", "state")

    def __init__(self, policy: Breaker) -> None:
        self.state = CLOSED
        self._policy = policy
        self._window = Window()
        self._in_a_row = 0  # failures while closed, successes while half-open
        self._probes = 0
        self._opened = 0.0
        self._ticket = 1

    def admit(self, now: float) -> int:
        """A ticket for one request, to be given to `settle`; 0 when it must not go through."""
        if self.state == OPEN and now - self._opened >= self._policy.open_ms / 1000:
            self._move(_RESTED)
        if self.state == OPEN or (self.state == HALF_OPEN and self._probes >= self._policy.probes):
            return 0
        if self.state == HALF_OPEN:
            self._probes += 1
        return self._ticket

    def settle(self, ticket: int, now: float, *, verdict: int) -> None:
        """The request with this ticket is over."""
        if ticket != self._ticket:
            return
        if self.state == HALF_OPEN:
            self._settle_probe(now, verdict)
        elif verdict != NEITHER:
            self._count(now, failed=verdict == FAILURE)

    def _settle_probe(self, now: float, verdict: int) -> None:
        self._probes -= 1
        if verdict == FAILURE:
            self._opened = now
            self._move(_FAILED)
        elif verdict == SUCCESS:
            self._in_a_row += 1
            if self._in_a_row >= self._policy.probes:
                self._move(_PROVEN)

    def _count(self, now: float, *, failed: bool) -> None:
        policy = self._policy
        window = self._window
        window.add(now, count=1, marked=int(failed))
        self._in_a_row = self._in_a_row + 1 if failed else 0
        often = window.count >= policy.minimum_requests and window.marked * 100 >= policy.failure_percent * window.count
        if failed and (often or self._in_a_row >= policy.consecutive):
            self._opened = now
            self._move(_TRIPPED)

    def _move(self, event: str) -> None:
        self.state = _MOVES[self.state, event]
        self._ticket += 1
        self._in_a_row = self._probes = 0
        self._window = Window()


class RouteBreaker:
    """The circuit of one candidate on one route, with the worker's clock. `report(event, text)` is told when it opens or closes."""

    __slots__ = ("_circuit", "_clock", "_name", "_report", "policy")

    def __init__(self, policy: Breaker, clock: Clock, *, name: str, report: Callable[[str, str], None]) -> None:
        self.policy = policy
        self._clock = clock
        self._name = name
        self._report = report
        self._circuit = Circuit(policy)

    @property
    def state(self) -> str:
        """CLOSED, OPEN or HALF_OPEN."""
        return self._circuit.state

    def admit(self) -> int:
        """A ticket, or 0: the baseline answers."""
        return self._circuit.admit(self._clock.now)

    def settle(self, ticket: int, status: int, *, failure: str) -> None:
        """The candidate answered with `status`, or not completely (one of evidence's failures)."""
        circuit = self._circuit
        before = circuit.state
        circuit.settle(ticket, self._clock.now, verdict=judge(status, failure))
        state = circuit.state
        if state == before:
            return
        if state == CLOSED:
            self._report("breaker-closed", f"{self._name} answers again")
        else:
            why = failure or f"status {status}"
            self._report("breaker-open", f"{self._name} keeps failing ({why}): the baseline answers its requests")
