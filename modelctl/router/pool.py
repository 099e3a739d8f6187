"""The connections to one backend: reused last in first out, bounded, and given to waiting legs in order.

A Target is a backend in the table's sense; a Pool holds the connections to one of its endpoints. Connections that idle longer
than the backend's `pool_idle_ms` are closed before the server does it (RFC 9112 9.3.1: the race a proxy cannot win).
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Coroutine
from random import randrange
from typing import Any, NamedTuple, Protocol, cast

from modelctl import evidence
from modelctl.endpoint import Endpoint, parse_endpoint
from modelctl.router.clock import Clock
from modelctl.router.retry import RetryBudget
from modelctl.router.upstream import Leg, Upstream
from modelctl.traffic import Backend

STREAM_IDLE = 300.0
MAX_DIALS = 4


class Limit(NamedTuple):
    """How many legs a Target carries at once, and how many (and how many bytes of them) may wait."""

    inflight: int
    pending: int
    pending_bytes: int


class Expiring(Protocol):
    """A request between two attempts. After `until` (the clock's seconds) none may begin."""

    until: float

    def expired(self) -> None:
        """That time has passed."""


class Waiting(NamedTuple):
    """A leg without room yet, the bytes it holds, and since when it waits (the clock's seconds)."""

    leg: Leg
    size: int
    since: float
    avoid: "Pool | None" = None  # where a leg that is sent again has been
    fresh: bool = False


class Want(NamedTuple):
    """A leg that wants a connection, its place among all that ever did, and the pools that could not give it one.

    A `fresh` one must have carried nothing yet.
    """

    leg: Leg
    order: int
    tried: tuple["Pool", ...]
    fresh: bool


class Pool:
    """The connections to one endpoint. `busy` counts the legs that have or want one.

    A leg that wants a connection takes the first one that is opened or becomes free, so nobody is bound to a handshake that does
    not come off: the accept queue of a small model server is short (5 in Python's http.server), and a SYN it drops is sent again
    after a second. At most MAX_DIALS connections are being opened at a time.
    """

    def __init__(self, target: "Target", endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.busy = 0
        self.idle: list[Upstream] = []
        self._target = target
        self._live: set[Upstream] = set()
        self._wants: deque[Want] = deque()
        self._order = 0
        self._dials = 0
        self._tls = ssl.create_default_context() if endpoint.scheme == "https" else None

    def take(self, leg: Leg, tried: tuple["Pool", ...] = (), *, fresh: bool = False) -> None:
        """Start `leg` on an idle connection, or as soon as there is one. `tried` could not be connected to."""
        self.busy += 1
        while self.idle and not fresh:
            upstream = self.idle.pop()
            if not (upstream.closing or upstream.transport.is_closing()):
                upstream.start(leg)
                return
        self._wants.append(Want(leg, self._order, tried, fresh))
        self._order += 1
        self._dial_more()

    def _dial_more(self) -> None:
        while self._dials < MAX_DIALS and self._dials < len(self._wants):
            self._dials += 1
            self._target.spawn(self._dial(self._order))

    async def _dial(self, before: int) -> None:
        """Open a connection. When that fails, everybody who waited when it began (order below `before`) has waited long enough."""
        loop = asyncio.get_running_loop()
        target = self._target
        try:
            async with asyncio.timeout(target.connect_timeout):
                _, protocol = await loop.create_connection(
                    lambda: cast("asyncio.Protocol", Upstream(self, target.clock, timeouts=target.timeouts)),
                    self.endpoint.host,
                    self.endpoint.port,
                    ssl=self._tls,
                )
        except (OSError, TimeoutError):
            upstream = None
        else:
            upstream = cast("Upstream", protocol)
        self._dials -= 1
        if upstream is None or upstream.closing:
            self._fail(before)
        else:
            self._live.add(upstream)
            self._offer(upstream)
        self._dial_more()

    def _offer(self, upstream: Upstream) -> None:
        """The connection is free: the first who wants one has it."""
        want = self._next(upstream) if self._wants else None
        if want is not None:
            upstream.start(want.leg)
        elif self._target.retired:
            upstream.close()
        else:
            upstream.idle_since = self._target.clock.now
            self.idle.append(upstream)

    def _next(self, upstream: Upstream) -> Want | None:
        for place, want in enumerate(self._wants):
            if not (want.fresh and upstream.used):
                del self._wants[place]
                return want
        return None

    def _fail(self, before: int) -> None:
        late: list[Want] = []
        while self._wants and self._wants[0].order < before:
            late.append(self._wants.popleft())
        for want in late:
            self._give_up(want.leg, (*want.tried, self), fresh=want.fresh)

    def _give_up(self, leg: Leg, tried: tuple["Pool", ...], *, fresh: bool) -> None:
        """Nothing was sent, so another endpoint may have it, whatever the method (RFC 9110 9.2.2)."""
        self.busy -= 1
        other = self._target.other_than(tried)
        if other is not None:
            other.take(leg, tried, fresh=fresh)
            return
        self._target.on_done()
        leg.on_broken(evidence.CONNECT)

    def forget(self, leg: Leg) -> bool:
        """Whether `leg` wanted a connection; it does not any more."""
        for want in self._wants:
            if want.leg is leg:
                self._wants.remove(want)
                self.busy -= 1
                return True
        return False

    def on_free(self, upstream: Upstream, *, reusable: bool) -> None:
        """Part of Owner: the leg is over."""
        self.busy -= 1
        if reusable:
            self._offer(upstream)
        else:
            upstream.close()
            if self._wants:
                self._dial_more()
        self._target.on_done()

    def on_lost(self, upstream: Upstream) -> None:
        """Part of Owner: never offer it again."""
        self._live.discard(upstream)
        if upstream in self.idle:
            self.idle.remove(upstream)

    def sweep(self, now: float, oldest: float) -> None:
        """Close what has idled since before `oldest`; end what is past its deadline."""
        while self.idle and self.idle[0].idle_since < oldest:
            self.idle.pop(0).close()
        for upstream in [up for up in self._live if up.leg is not None and up.deadline < now]:
            upstream.expired()

    def close_idle(self) -> None:
        """Close every connection that carries nothing."""
        while self.idle:
            self.idle.pop().close()


class Target:
    """One backend: its pools and its limits. Legs beyond the limit in flight wait; beyond what may wait they are refused."""

    def __init__(self, backend: Backend, clock: Clock, *, limit: Limit | None = None) -> None:
        self.backend = backend
        self.clock = clock
        self.limit = limit or Limit(backend.max_inflight, backend.max_pending, 1 << 40)
        self.timeouts = (backend.response_timeout_ms / 1000, STREAM_IDLE)
        self.connect_timeout = backend.connect_timeout_ms / 1000
        self.retired = False
        retries = backend.retries
        self.budget = None if retries is None else RetryBudget(retries)
        self.attempt_timeout = (retries.attempt_timeout_ms / 1000 if retries is not None else 0) or self.timeouts[0]
        self.trials: set[Expiring] = set()
        self.retried = 0
        self.budget_exhausted = 0
        self.pools = [Pool(self, parse_endpoint(url)) for url in backend.endpoints]
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._inflight = 0

    def send(self, leg: Leg, size: int = 0) -> bool:
        """Carry `leg` now or when there is room; `size` is what it holds in memory. False: no room, nothing happened."""
        if self._inflight < self.limit.inflight:
            self._inflight += 1
            pools = self.pools
            (pools[0] if len(pools) == 1 else self._pick()).take(leg)
            return True
        if len(self._waiting) >= self.limit.pending or self._waiting_bytes + size > self.limit.pending_bytes:
            return False
        self._waiting.append(Waiting(leg, size, self.clock.now))
        self._waiting_bytes += size
        return True

    def again(self, leg: Leg, avoid: Pool, *, size: int, fresh: bool) -> bool:
        """Like `send`, before all who wait, and on another endpoint than `avoid` when there is one.

        `fresh`: on a connection that has carried nothing yet.
        """
        if self._inflight < self.limit.inflight:
            self._inflight += 1
            self._start(Waiting(leg, size, 0.0, avoid, fresh))
            return True
        if len(self._waiting) >= self.limit.pending or self._waiting_bytes + size > self.limit.pending_bytes:
            return False
        since = self._waiting[0].since if self._waiting else self.clock.now
        self._waiting.appendleft(Waiting(leg, size, since, avoid, fresh))
        self._waiting_bytes += size
        return True

    def _start(self, waiting: Waiting) -> None:
        avoid = waiting.avoid
        pool = self._pick() if avoid is None else self.other_than((avoid,)) or avoid
        pool.take(waiting.leg, fresh=waiting.fresh)

    def forget(self, leg: Leg) -> None:
        """A leg that waits, for room or for a connection, gave up. One that does neither is not known here."""
        for waiting in self._waiting:
            if waiting.leg is leg:
                self._waiting.remove(waiting)
                self._waiting_bytes -= waiting.size
                return
        if any(pool.forget(leg) for pool in self.pools):
            self.on_done()

    def _pick(self) -> Pool:
        """The less busy of two endpoints drawn by chance (Mitzenmacher 2001)."""
        pools = self.pools
        first = randrange(len(pools))
        if len(pools) == 1:
            return pools[first]
        second = (first + randrange(1, len(pools))) % len(pools)
        return min(pools[first], pools[second], key=lambda pool: pool.busy)

    def other_than(self, tried: tuple[Pool, ...]) -> Pool | None:
        """A pool that is none of these."""
        return next((pool for pool in self.pools if pool not in tried), None)

    def on_done(self) -> None:
        """A leg is over: the next waiting one starts."""
        if not self._waiting:
            self._inflight -= 1
            return
        waiting = self._waiting.popleft()
        self._waiting_bytes -= waiting.size
        self._start(waiting)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` and keep it: a connection attempt belongs to its backend."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def sweep(self, now: float) -> None:
        """Once per tick: deadlines and idle connections. Nothing waits for room longer than it may wait for an answer."""
        while self._waiting and self._waiting[0].since < now - self.timeouts[0]:
            waiting = self._waiting.popleft()
            self._waiting_bytes -= waiting.size
            waiting.leg.on_broken(evidence.OVERLOAD)
        for trial in [trial for trial in self.trials if trial.until < now]:
            trial.expired()
        for pool in self.pools:
            pool.sweep(now, now - self.backend.pool_idle_ms / 1000)

    @property
    def busy(self) -> bool:
        """Whether it carries anything or something waits for it."""
        return self._inflight > 0 or bool(self._waiting)

    def retire(self) -> None:
        """The table does not hold this backend any more: what is in flight finishes, nothing is kept."""
        self.retired = True
        for pool in self.pools:
            pool.close_idle()
