"""Clients of the models: many connections from one thread, and everything they were answered.

Each request stands in a plan. Without a `rate` a connection sends its next request when it has its answer (closed loop). With
one, requests have their times, whatever earlier answers took, as long as a connection is free (open loop).
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from time import monotonic
from typing import NamedTuple, cast

import httptools
import msgspec
import uvloop

from tests.acceptance.answering import label_of

PATIENCE = 20.0


class Ask(NamedTuple):
    """One request to send. `id` is its x-request-id; `wait` is how many milliseconds the model is to take; `arm` is asked for."""

    id: str
    body: bytes
    path: str = "/predict"
    unit: str = ""
    wait: int = 0
    arm: str = ""

    def wire(self, last: bool) -> bytes:
        """Its bytes."""
        unit = f"x-user-id: {self.unit}\r\n" if self.unit else ""
        wait = f"x-wait: {self.wait}\r\n" if self.wait else ""
        arm = f"modelctl-arm: {self.arm}\r\n" if self.arm else ""
        close = "connection: close\r\n" if last else ""
        head = (
            f"POST {self.path} HTTP/1.1\r\nhost: models.example\r\ncontent-type: application/json\r\n"
            f"content-length: {len(self.body)}\r\nx-request-id: {self.id}\r\n{unit}{wait}{arm}{close}\r\n"
        )
        return head.encode() + self.body


class Reply(NamedTuple):
    """What came back. `failure` is empty for a complete answer; times are those of `time.monotonic`."""

    ask: Ask
    failure: str
    status: int = 0
    arm: str = ""
    request_id: str = ""
    body: bytes = b""
    sent_at: float = 0.0
    ended_at: float = 0.0

    @property
    def good(self) -> bool:
        """A complete answer with status 200."""
        return not self.failure and self.status == 200

    @property
    def label(self) -> str:
        """The label in the answer."""
        return str(msgspec.json.decode(self.body)["label"])


class _Connection:
    """One connection. A request and its answer at a time."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.closed = False
        self._parser = httptools.HttpResponseParser(self)
        self._fields: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._began = False
        self._waiting: asyncio.Future[str] | None = None

    async def exchange(self, ask: Ask, *, last: bool) -> Reply:
        """Send the request and wait for its answer."""
        self._fields, self._body, self._began = {}, [], False
        self._waiting = asyncio.get_running_loop().create_future()
        sent_at = monotonic()
        self.transport.write(ask.wire(last))
        try:
            async with asyncio.timeout(PATIENCE):
                failure = await self._waiting
        except TimeoutError:
            failure = f"no answer after {PATIENCE} s"
        return Reply(
            ask,
            failure,
            self._parser.get_status_code() if self._began else 0,
            self._fields.get(b"modelctl-arm", b"").decode(),
            self._fields.get(b"x-request-id", b"").decode(),
            b"".join(self._body),
            sent_at,
            monotonic(),
        )

    def _settle(self, failure: str) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(failure)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        self._settle("broken inside the answer" if self._began else "closed before an answer")

    def eof_received(self) -> bool:
        self.closed = True
        return False

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass

    def data_received(self, data: bytes) -> None:
        self._began = True
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._fields.get(b"connection") == b"close":
            self.closed = True
        self._settle("")


class Load:
    """Sends the requests of `plan` over `connections` connections. `keep` False: each request has a connection of its own."""

    def __init__(self, port: int, plan: Iterable[Ask], *, connections: int = 32, rate: float = 0.0, keep: bool = True) -> None:
        self.replies: list[Reply] = []
        self._port = port
        self._plan = iter(plan)
        self._connections = connections
        self._rate = rate
        self._keep = keep
        self._numbers = count()
        self._started = 0.0
        self._stopped = False

    def run(self) -> list[Reply]:
        """Until the plan is over or somebody stops it."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._run())
        return self.replies

    def stop(self) -> None:
        """Send nothing more; what was sent is waited for."""
        self._stopped = True

    async def _run(self) -> None:
        self._started = monotonic()
        await asyncio.gather(*(self._client() for _ in range(self._connections)))

    async def _client(self) -> None:
        connection: _Connection | None = None
        while (ask := await self._next()) is not None:
            if connection is None or connection.closed:
                connection = await self._connect(ask)
            if connection is not None:
                self.replies.append(await connection.exchange(ask, last=not self._keep))
                if not self._keep:
                    connection.transport.close()
                    connection = None
        if connection is not None:
            connection.transport.close()

    async def _next(self) -> Ask | None:
        """The next request, when its time has come."""
        if self._stopped:
            return None
        ask = next(self._plan, None)
        if ask is not None and self._rate:
            await asyncio.sleep(self._started + next(self._numbers) / self._rate - monotonic())
        return None if self._stopped else ask

    async def _connect(self, ask: Ask) -> _Connection | None:
        loop = asyncio.get_running_loop()
        sent_at = monotonic()
        try:
            _, connection = await loop.create_connection(lambda: cast("asyncio.Protocol", _Connection()), "127.0.0.1", self._port)
        except OSError as error:
            self.replies.append(Reply(ask, f"no connection: {error}", sent_at=sent_at, ended_at=monotonic()))
            return None
        return cast("_Connection", connection)


class Flow:
    """A load that goes on in the background."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._thread = threading.Thread(target=load.run)
        self._thread.start()

    @property
    def replies(self) -> list[Reply]:
        """Those that have come so far."""
        return self._load.replies

    def wait_for(self, more: int) -> None:
        """Returns when `more` requests have been answered from now on."""
        wanted = len(self.replies) + more
        deadline = monotonic() + PATIENCE
        while len(self.replies) < wanted:
            assert monotonic() < deadline, f"{len(self.replies)} answers instead of {wanted}: {failures(self.replies)}"
            threading.Event().wait(0.005)

    def stop(self) -> list[Reply]:
        """All replies, once the last one has come."""
        self._load.stop()
        self._thread.join(PATIENCE + 5)
        return self._load.replies


@contextmanager
def flowing(load: Load) -> Iterator[Flow]:
    """The load in the background, for the length of the block; answers are there when the block begins."""
    flow = Flow(load)
    try:
        flow.wait_for(50)
        yield flow
    finally:
        flow.stop()


def bodies(prefix: str, path: str = "/predict", *, units: int = 0) -> Iterator[Ask]:
    """Requests without end, each with an id and a body of its own; with `units`, from that many users in turn."""
    for number in count():
        unit = f"user-{number % units}" if units else ""
        yield Ask(f"{prefix}-{number}", b'{"x":%d}' % number, path, unit)


def failures(replies: Sequence[Reply]) -> Counter[str]:
    """Why requests failed, with their numbers."""
    return Counter(reply.failure or f"status {reply.status}: {reply.body[:200]!r}" for reply in replies if not reply.good)


def wrong(replies: Iterable[Reply]) -> list[Reply]:
    """Good answers that are not what the arm they name answers to this very request, or that carry another request's id."""
    return [
        reply
        for reply in replies
        if reply.good and (reply.request_id != reply.ask.id or reply.label != label_of(reply.arm, reply.ask.body))
    ]
