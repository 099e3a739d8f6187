"""Active checks of an endpoint: what they make of it (clock-free), and one check over a connection of its own."""

import asyncio
from typing import Protocol

from modelctl.endpoint import Endpoint
from modelctl.policy import Health
from modelctl.router.upstream import Owner, Upstream
from modelctl.router.watch import Watch

_JITTER = 0.1


class Pulse:
    """What the checks of one endpoint have found. It is well until `fall` checks in a row fail; `why` is empty while it is.

    `due` is when the next check is to begin (the clock's seconds).
    """

    __slots__ = ("_streak", "checking", "due", "rule", "well", "why")

    def __init__(self, rule: Health, now: float) -> None:
        self.rule = rule
        self.due = now
        self.checking = False
        self.well = True
        self.why = ""
        self._streak = 0  # checks in a row that speak against what is believed

    def begin(self, now: float, chance: float) -> None:
        """A check begins now; the next one an interval later, give or take a tenth (`chance` from 0 to 1)."""
        self.checking = True
        self.due = now + self.rule.interval_ms / 1000 * (1.0 - _JITTER + 2.0 * _JITTER * chance)

    def end(self, why: str) -> bool:
        """The check is over: it failed for the reason `why`, or "" for well. Whether that changes what is believed."""
        self.checking = False
        if self.well == (not why):
            self._streak = 0
            return False
        self._streak += 1
        if self._streak < (self.rule.fall if self.well else self.rule.rise):
            return False
        self.well = not why
        self.why = why
        self._streak = 0
        return True

    def resemble(self, other: "Pulse") -> None:
        """It is the same endpoint as `other`, in a new description of the backend."""
        self.well, self.why, self._streak = other.well, other.why, other._streak


class Opener(Protocol):
    """What opens connections to an endpoint."""

    endpoint: Endpoint

    async def open(self, owner: Owner, seconds: float) -> Upstream:
        """A new connection, within `seconds`. Raises OSError, which TimeoutError is."""


class _Check:
    """The request of one check, and the owner of its connection, which carries nothing else."""

    head_only = False
    complete = True
    host = b""
    switches = False
    trailers = False
    watch: Watch | None = None

    def __init__(self, endpoint: Endpoint, rule: Health) -> None:
        self.endpoint = endpoint
        self.verdict: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._rule = rule

    def on_connected(self, upstream: Upstream) -> None:
        """Part of Leg."""
        lines = (
            f"GET {self._rule.path} HTTP/1.1",
            f"host: {self.endpoint.authority}",
            "user-agent: modelctl-health",
            "connection: close",
        )
        upstream.transport.write("\r\n".join(lines).encode() + b"\r\n\r\n")

    def on_answer(self, upstream: Upstream) -> None:
        """Part of Leg: what the answer says does not count, but it is read to its end, as the server expects."""
        if upstream.complete:
            status, wanted = upstream.answer.status, self._rule.status
            self._conclude("" if status == wanted else f"it answered {status}, not {wanted}")
            upstream.release()

    def on_hints(self, data: bytes) -> None:
        """Part of Leg: they are for a client."""

    def on_switched(self, upstream: Upstream, rest: bytes) -> None:
        """Part of Leg: a check never asks for another protocol."""

    def on_broken(self, failure: str) -> None:
        """Part of Leg."""
        self._conclude(f"no answer: {failure}")

    def pause(self) -> None:
        """Part of Leg: the request is smaller than any buffer."""

    def resume(self) -> None:
        """Part of Leg."""

    def on_free(self, upstream: Upstream, *, reusable: bool) -> None:
        """Part of Owner."""
        upstream.close()

    def on_lost(self, upstream: Upstream) -> None:
        """Part of Owner."""

    def _conclude(self, why: str) -> None:
        if not self.verdict.done():
            self.verdict.set_result(why)


async def check(opener: Opener, rule: Health) -> str:
    """Why the endpoint is not well, or "". Takes no longer than the rule's timeout."""
    seconds = rule.timeout_ms / 1000
    one = _Check(opener.endpoint, rule)
    upstream: Upstream | None = None
    try:
        async with asyncio.timeout(seconds):
            upstream = await opener.open(one, seconds)
            upstream.start(one)
            return await one.verdict
    except TimeoutError:
        return f"no answer within {rule.timeout_ms} ms"
    except OSError as error:
        return f"no connection: {error.strerror or error}"
    finally:
        if upstream is not None:
            upstream.close()
