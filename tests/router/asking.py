"""A Target inside the test, on a loop of its own: legs that are sent as a client's requests are, and time that passes as told."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic

from modelctl.router.clock import Clock
from modelctl.router.dial import Dialers
from modelctl.router.pool import Pool
from modelctl.router.target import Target
from modelctl.router.upstream import Upstream
from modelctl.traffic import Backend
from tests.router.wire import PATIENCE

REQUEST = b"GET /x HTTP/1.1\r\nhost: m\r\n\r\n"


class Asking:
    """One request. `answer` becomes its status, or why there is none; `address` is where it went."""

    head_only = False
    complete = True
    switches = False
    trailers = False

    def __init__(self, request: bytes = REQUEST) -> None:
        self.answer: asyncio.Future[int | str] = asyncio.get_running_loop().create_future()
        self.address = ""
        self.upstream: Upstream | None = None
        self._request = request

    def on_connected(self, upstream: Upstream) -> None:
        self.address = upstream.address
        self.upstream = upstream
        upstream.transport.write(self._request)

    def on_answer(self, upstream: Upstream) -> None:
        if upstream.complete:
            self.upstream = None
            self.answer.set_result(upstream.answer.status)
            upstream.release()

    def on_hints(self, data: bytes) -> None:
        """For a client."""

    def on_switched(self, upstream: Upstream, rest: bytes) -> None:
        raise AssertionError

    def on_broken(self, failure: str) -> None:
        self.upstream = None
        self.answer.set_result(failure)

    def leave(self, target: Target) -> None:
        """The client does not wait any longer."""
        if not self.answer.done():
            self.answer.set_result("left")
            upstream, self.upstream = self.upstream, None
            if upstream is not None:
                upstream.abandon()
            else:
                target.forget(self)

    def pause(self) -> None:
        """A request without a body."""

    def resume(self) -> None:
        """A request without a body."""


class Names:
    """A resolver whose answers a test changes; an empty answer is a failure."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked += 1
        if not self.addresses:
            raise OSError("no resolver answers")
        return self.addresses


class Bench:
    """One Target and what it reports."""

    def __init__(self, backend: Backend, names: Names | None = None) -> None:
        self.clock = Clock(1_000.0)
        self.events: list[tuple[str, str]] = []
        self.target = Target(backend, self.clock, dialers=Dialers(resolve=names or Names()), report=self.report)

    def report(self, event: str, text: str) -> None:
        """What a worker would log."""
        self.events.append((event, text))

    async def ask(self) -> Asking:
        """One request and its answer."""
        leg = Asking()
        assert self.target.send(leg)
        async with asyncio.timeout(PATIENCE):
            await leg.answer
        return leg

    async def ask_again(self, avoid: Pool | None) -> Asking:
        """The same, by way of `again`."""
        leg = Asking()
        assert self.target.again(leg, avoid)
        async with asyncio.timeout(PATIENCE):
            await leg.answer
        return leg

    async def pass_time(self, seconds: float) -> None:
        """The clock moves; what begins then has a moment to come to its end."""
        self.clock.now += seconds
        self.target.sweep(self.clock.now)
        await asyncio.sleep(0.05)
        self.target.sweep(self.clock.now)


async def eventually(condition: Callable[[], bool]) -> bool:
    """Whether `condition` comes true."""
    deadline = monotonic() + PATIENCE
    while not condition():
        if monotonic() > deadline:
            return False
        await asyncio.sleep(0.01)
    return True


def run(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run `work` on a new loop. No task may be left that `work` has not ended."""

    async def all_of_it() -> None:
        await work()
        await asyncio.sleep(0.05)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(all_of_it())
