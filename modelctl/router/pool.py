"""The connections to one endpoint: reused last in first out, and given to the legs that want one in order.

Connections that idle longer than the backend's `pool_idle_ms` are closed before the server does it (RFC 9112 9.3.1: the race a
proxy cannot win).
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, NamedTuple, Protocol, cast

from modelctl import evidence
from modelctl.endpoint import Endpoint
from modelctl.router.addresses import Addresses
from modelctl.router.balance import Candidate
from modelctl.router.clock import Clock
from modelctl.router.dial import Dialer, failure_of
from modelctl.router.room import Room, Waiting
from modelctl.router.upstream import Leg, Owner, Upstream
from modelctl.router.watch import Watch

MAX_DIALS = 4
LEAST_SECONDS = 0.25  # for a handshake over a long way, when another address could be tried instead


class Want(NamedTuple):
    """A leg that wants a connection, its place among all that ever did, and the pools that could not give it one.

    A `fresh` one must have carried nothing yet.
    """

    leg: Leg
    order: int
    tried: tuple["Pool", ...]
    fresh: bool


class Home(Protocol):
    """The backend that a pool belongs to."""

    clock: Clock
    dialer: Dialer
    timeouts: tuple[float, float]
    connect_timeout: float
    retired: bool

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` and keep it."""

    def start(self, waiting: Waiting) -> None:
        """There is room for it now."""

    def other_than(self, tried: "tuple[Pool, ...]") -> "Pool | None":
        """A pool that is none of these."""


class Pool:
    """The connections to one endpoint. `candidate` counts the legs that have or want one.

    A leg that wants a connection takes the first one that is opened or becomes free, so nobody is bound to a handshake that does
    not come off: the accept queue of a small model server is short (5 in Python's http.server), and a SYN it drops is sent again
    after a second. At most MAX_DIALS connections are being opened at a time.
    """

    def __init__(self, home: Home, room: Room, *, candidate: Candidate, watch: Watch | None, addresses: Addresses) -> None:
        self.endpoint: Endpoint = addresses.endpoint
        self.candidate = candidate
        self.watch = watch
        self.addresses = addresses
        self.idle: list[Upstream] = []
        self._home = home
        self._room = room
        self._known = addresses.known
        self._live: set[Upstream] = set()
        self._wants: deque[Want] = deque()
        self._order = 0
        self._dials = 0
        self.host = home.dialer.host_for(self.endpoint)

    def take(self, leg: Leg, tried: tuple["Pool", ...] = (), *, fresh: bool = False) -> None:
        """Start `leg` on an idle connection, or as soon as there is one. `tried` could not be connected to."""
        self.candidate.busy += 1
        while self.idle and not fresh:
            upstream = self.idle.pop()
            if not (upstream.closing or upstream.transport.is_closing()):
                upstream.start(leg)
                return
        self._wants.append(Want(leg, self._order, tried, fresh))
        self._order += 1
        self._dial_more()

    # -- opening

    def _dial_more(self) -> None:
        while self._dials < MAX_DIALS and self._dials < len(self._wants):
            self._dials += 1
            self._home.spawn(self._dial(self._order))

    async def _dial(self, before: int) -> None:
        """Open a connection. When that fails, everybody who waited when it began (order below `before`) has waited long enough."""
        try:
            upstream = await self.open(self, self._home.connect_timeout)
        except Exception as error:  # noqa: BLE001  (whatever it is: who waits for it must not wait for ever)
            self._dials -= 1
            self._fail(before, failure_of(error))
        else:
            self._dials -= 1
            if upstream.closing:
                self._fail(before, evidence.CONNECT)
            else:
                self._live.add(upstream)
                upstream.spent = upstream.address not in self.addresses.known  # the name moved while it was opened
                self._offer(upstream)
        self._dial_more()

    async def open(self, owner: Owner, seconds: float) -> Upstream:
        """A new connection for `owner`, within `seconds`: an address has half of what is left, the last one all. Raises OSError."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        async with asyncio.timeout(seconds):
            left = await self.addresses.in_turn()
        while True:
            address = left.pop(0)
            remaining = deadline - loop.time()
            try:
                async with asyncio.timeout(max(remaining / 2, min(remaining, LEAST_SECONDS)) if left else remaining):
                    upstream = await self._connect(address, owner)
            except OSError:
                self.addresses.blame(address)
                if not left or loop.time() >= deadline:
                    raise
            else:
                upstream.address = address
                return upstream

    async def _connect(self, address: str, owner: Owner) -> Upstream:
        """A connection to one address of the endpoint. Raises OSError."""
        home = self._home
        factory = lambda: Upstream(owner, home.clock, timeouts=home.timeouts)  # noqa: E731  (a closure is not compiled as well)
        return cast(Upstream, await home.dialer.open(self.endpoint, address, factory=factory))

    def _offer(self, upstream: Upstream) -> None:
        """The connection is free: the first who wants one has it."""
        want = self._next(upstream) if self._wants else None
        if want is not None:
            upstream.start(want.leg)
        elif self._home.retired:
            upstream.close()
        else:
            upstream.idle_since = self._home.clock.now
            self.idle.append(upstream)

    def _next(self, upstream: Upstream) -> Want | None:
        for place, want in enumerate(self._wants):
            if not (want.fresh and upstream.used):
                del self._wants[place]
                return want
        return None

    def _fail(self, before: int, failure: str) -> None:
        if self.watch is not None:
            self.watch.on_unreachable()
        late: list[Want] = []
        while self._wants and self._wants[0].order < before:
            late.append(self._wants.popleft())
        for want in late:
            self._give_up(want, failure)

    def _give_up(self, want: Want, failure: str) -> None:
        """Nothing was sent, so another endpoint may have it, whatever the method (RFC 9110 9.2.2)."""
        self.candidate.busy -= 1
        tried = (*want.tried, self)
        other = self._home.other_than(tried)
        if other is not None:
            other.take(want.leg, tried, fresh=want.fresh)
            return
        self._leave()
        want.leg.on_broken(failure)

    # -- what becomes of legs and connections

    def forget(self, leg: Leg) -> bool:
        """Whether `leg` wanted a connection; it does not any more."""
        for want in self._wants:
            if want.leg is leg:
                self._wants.remove(want)
                self.candidate.busy -= 1
                self._leave()
                return True
        return False

    def on_free(self, upstream: Upstream, *, reusable: bool) -> None:
        """Part of Owner: the leg is over."""
        self.candidate.busy -= 1
        if reusable:
            self._offer(upstream)
        else:
            upstream.close()
            if self._wants:
                self._dial_more()
        self._leave()

    def _leave(self) -> None:
        """A leg is over: the next that waits for room has it."""
        waiting = self._room.leave()
        if waiting is not None:
            self._home.start(waiting)

    def on_lost(self, upstream: Upstream) -> None:
        """Part of Owner: never offer it again."""
        self._live.discard(upstream)
        if upstream in self.idle:
            self.idle.remove(upstream)

    # -- time

    def sweep(self, now: float, oldest: float) -> None:
        """Close what has idled since before `oldest` or leads to an address that is gone; end what is past its deadline."""
        if self._known is not self.addresses.known:
            self._known = self.addresses.known
            self._follow(self._known)
        while self.idle and self.idle[0].idle_since < oldest:
            self.idle.pop(0).close()
        for upstream in [up for up in self._live if up.leg is not None and up.deadline < now]:
            upstream.expired()

    def _follow(self, known: tuple[str, ...]) -> None:
        """The endpoint has other addresses now: what is in flight on old ones finishes."""
        for upstream in self._live:
            upstream.spent = upstream.address not in known
        left = [upstream for upstream in self.idle if upstream.spent]
        self.idle = [upstream for upstream in self.idle if not upstream.spent]
        for upstream in left:
            upstream.close()

    def close_idle(self) -> None:
        """Close every connection that carries nothing."""
        while self.idle:
            self.idle.pop().close()
