"""When a request that a backend may have seen is sent again (RFC 9110 9.2.2). Decisions and counts; no clock, no connections.

Two ways. A connection that had carried an answer before and breaks without a byte was most likely closed by its server while the
request was under way: such a request is repeated once on a fresh connection. Whatever else a backend's `retries` name is repeated
within its budget. Both only where asking twice does no harm, and only before a byte of an answer went to the client.
"""

from typing import Final

from modelctl import evidence
from modelctl.policy import Retries
from modelctl.router.window import Window

NEVER: Final = 0
STALE: Final = 1  # the server closed an idle connection: no budget, it happens once per request at most
PAID: Final = 2  # out of the budget

_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"})


def harmless(method: bytes, *, keyed: bool, idempotent: bool) -> bool:
    """Whether asking twice is: by the method, because the request has an Idempotency-Key, or because the backend says so."""
    return method in _IDEMPOTENT or keyed or idempotent


def way(cause: str, *, sends: int, stale: bool, policy: Retries | None) -> int:
    """NEVER, STALE or PAID for a harmless request that was sent `sends` times. `cause` is one of evidence's or a status.

    `stale` says that the connection had carried an answer before and brought no byte of this one.
    """
    if stale and sends == 1 and cause == evidence.RESET:
        return STALE
    if policy is not None and sends < policy.attempts and cause in policy.on:
        return PAID
    return NEVER


class RetryBudget:
    """How many retries a backend bears. With n requests in the last ten seconds, retries among them are at most
    n * budget_percent / 100; while that is less than `budget_minimum` (little traffic), so many at a time may be.
    """

    __slots__ = ("_minimum", "_percent", "_window", "inflight")

    def __init__(self, policy: Retries) -> None:
        self._percent = policy.budget_percent
        self._minimum = policy.budget_minimum
        self._window = Window()
        self.inflight = 0

    def on_request(self, now: float) -> None:
        """One more request, not a retry."""
        self._window.add(now, count=1, marked=0)

    def take(self, now: float) -> bool:
        """Whether one more retry may begin; then it is counted, and in flight until `on_done`."""
        window = self._window
        window.advance(now)
        room = window.count * self._percent // 100
        if window.marked >= room and (room >= self._minimum or self.inflight >= self._minimum):
            return False
        window.add(now, count=0, marked=1)
        self.inflight += 1
        return True

    def on_done(self) -> None:
        """A retry is over."""
        self.inflight -= 1
