"""Play one case: send its bytes, gather what comes back, and what the backend got."""

import random
import socket
from collections.abc import Callable, Iterable, Iterator
from select import select
from time import monotonic, monotonic_ns, sleep

import h11

from tests.router.http_cases.case import Case, Do, Step, wire
from tests.router.model_server import Arrival, ModelServer, close, pause, reset, until_left
from tests.router.model_server import Step as BackendStep
from tests.router.wire import Client, Incomplete, ok

PIECE = 65_536
FOLLOW_UP = b"/follow-up/"
_SEEN = 1 << 20  # of what a client gets, for looking at its bytes


class Answers:
    """The answers that come on one connection, read by a strict parser."""

    def __init__(self, method: bytes) -> None:
        self.all: list[h11.Response] = []
        self.bodies: list[bytes] = []
        self.interim: list[int] = []
        self.fault = ""
        self._parser = _expecting(method)
        self._body: list[bytes] = []
        self._head: h11.Response | None = None

    @property
    def begun(self) -> h11.Response | None:
        """The first final answer, complete or not."""
        return self.all[0] if self.all else self._head

    def feed(self, data: bytes) -> None:
        """More bytes, or the end of them."""
        if self.fault:
            return
        try:
            self._parser.receive_data(data)
            self._read()
        except h11.RemoteProtocolError as error:
            self.fault = str(error)

    def _read(self) -> None:
        while True:
            event = self._parser.next_event()
            if isinstance(event, h11.InformationalResponse):
                self.interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                self._head = event
            elif isinstance(event, h11.Data):
                self._body.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                rest, closed = self._end()
                if closed or not rest:
                    return
                self._parser.receive_data(rest)
            else:
                return

    def _end(self) -> tuple[bytes, bool]:
        assert self._head is not None
        self.all.append(self._head)
        self.bodies.append(b"".join(self._body))
        self._head, self._body = None, []
        rest, closed = self._parser.trailing_data
        self._parser = _expecting(b"GET")
        return rest, closed


def _expecting(method: bytes) -> h11.Connection:
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    parser.send(h11.Request(method=b"HEAD" if method == b"HEAD" else b"GET", target=b"/", headers=[(b"host", b"x")]))
    parser.send(h11.EndOfMessage())
    return parser


class Talk:
    """One connection of the client."""

    def __init__(self, port: int, source: str, method: bytes) -> None:
        self.socket = socket.socket()
        self.socket.bind((source, 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.answers = Answers(method)
        self.seen = b""
        self.started = monotonic()
        self.ended_at = self.first_at = 0.0
        self.gave_up = False  # on sending: it was answered or closed before all was sent

    @property
    def ended(self) -> bool:
        return bool(self.ended_at)

    def send(self, data: bytes) -> None:
        """All of it, unless an answer comes before it is taken."""
        rest = memoryview(data)
        while rest and not self.gave_up:
            readable, writable, _ = select([self.socket], [self.socket], [], 1.0)
            if readable:
                self._receive()
            if self.ended or (not writable and self.answers.all):
                self.gave_up = True
            elif writable:
                rest = rest[self._push(rest[:PIECE]) :]

    def _push(self, piece: memoryview) -> int:
        try:
            return self.socket.send(piece)
        except BlockingIOError:
            return 0
        except OSError:
            self.gave_up = True
            self.wait(lambda: False, 1.0)
            return 0

    def _receive(self) -> None:
        try:
            data = self.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self.answers.feed(data)
        if not data:
            self.ended_at = monotonic()
        elif len(self.seen) < _SEEN:
            self.seen += data
        if self.answers.all and not self.first_at:
            self.first_at = monotonic()

    def wait(self, done: Callable[[], bool], seconds: float) -> None:
        """Until it is done, the connection ends, or the time is over."""
        deadline = monotonic() + seconds
        while not self.ended and not done() and (left := deadline - monotonic()) > 0:
            if select([self.socket], [], [], left)[0]:
                self._receive()


class Play:
    """What happened."""

    def __init__(self) -> None:
        self.talks: list[Talk] = []
        self.arrivals: list[Arrival] = []
        self.faults: list[str] = []
        self.sent = b""  # random bytes
        self.follow_up = ""

    @property
    def answers(self) -> list[h11.Response]:
        return [answer for talk in self.talks for answer in talk.answers.all]

    @property
    def bodies(self) -> list[bytes]:
        return [body for talk in self.talks for body in talk.answers.bodies]

    @property
    def accepted(self) -> bool:
        """Whether the first final answer is complete and no error: what makes a proxy's verdict."""
        return bool(self.answers) and self.answers[0].status_code < 400

    @property
    def whole(self) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if arrival.complete]


def play(case: Case, port: int, backend: ModelServer) -> Play:
    """Carries a case out against the proxy on `port`, which forwards to `backend`, and then asks something harmless."""
    result = Play()
    backend.forget()
    for script in case.rule.backend:
        backend.on(script.path, *_backend_steps(script.steps, case), early=script.early)
    _Client(case, port, result).run()
    result.follow_up = _follow_up(port, backend)
    arrivals = [arrival for arrival in backend.arrivals if FOLLOW_UP not in arrival.raw[:100]]
    _settle(arrivals)
    for talk in result.talks:
        talk.socket.close()
    result.arrivals = arrivals
    result.faults = list(backend.faults)
    return result


def _settle(arrivals: list[Arrival]) -> None:
    """What did not come whole is given up soon; what did is written down by the backend's thread."""
    deadline = monotonic() + 1.5
    while not all(arrival.complete or arrival.left_at for arrival in arrivals) and monotonic() < deadline:
        sleep(0.005)
    sleep(0.005)


def _follow_up(port: int, backend: ModelServer) -> str:
    """What is wrong with the answer to a plain request on a new connection."""
    path = FOLLOW_UP + b"%d" % monotonic_ns()
    backend.on(path.decode(), ok(path))
    try:
        with Client(port) as client:
            reply = client.ask(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    except (Incomplete, OSError) as error:
        return f"{error}"
    return "" if (reply.status, reply.body) == (200, path) else f"{reply.status} {reply.body[:100]!r}"


def _backend_steps(steps: Iterable[Step], case: Case) -> Iterator[BackendStep]:
    for step in steps:
        if isinstance(step, str):
            yield wire(step).replace(b"{}", case.put)
        elif step.pause:
            yield pause(step.pause)
        elif step.bytes:
            yield wire(step.bytes) * step.times
        else:
            yield close if step.close else reset if step.reset else until_left


def pieces(step: Do, rng: random.Random) -> Iterator[bytes]:
    """Random bytes of a step, not framed."""
    left = step.random or step.chunks
    while left:
        piece = rng.randbytes(min(left, PIECE if step.random else rng.randint(1, PIECE)))
        left -= len(piece)
        yield piece


class _Client:
    """The client's side of a case."""

    def __init__(self, case: Case, port: int, result: Play) -> None:
        self.rule = case.rule
        self.case = case
        self.port = port
        self.result = result
        self.bytewise = False
        self.awaited = 0
        self.left = False

    def run(self) -> None:
        send = self.rule.send
        steps: list[Step] = [send] if isinstance(send, str) else send
        self._connect(steps)
        for number, step in enumerate(steps):
            if isinstance(step, str):
                self._send(wire(step).replace(b"{}", self.case.put))
            elif step.again:
                self._connect(steps[number + 1 :])
            else:
                self._do(step)
        if not self.left:
            self._wait_for_the_end()

    def _connect(self, steps: list[Step]) -> None:
        first = next((wire(step).replace(b"{}", self.case.put) for step in steps if isinstance(step, str)), b"")
        self.result.talks.append(Talk(self.port, self.rule.client, first.lstrip(b"\r\n").split(b" ")[0]))

    @property
    def talk(self) -> Talk:
        return self.result.talks[-1]

    def _send(self, data: bytes) -> None:
        if not self.bytewise:
            self.talk.send(data)
            return
        for number in range(len(data)):
            self.talk.send(data[number : number + 1])
            sleep(0.0005)

    def _do(self, step: Do) -> None:
        talk = self.talk
        if step.pause:
            talk.wait(lambda: False, step.pause)
        elif step.bytes:
            self._send(wire(step.bytes) * step.times)
        elif step.random or step.chunks:
            self._send_random(step)
        elif step.bytewise:
            self.bytewise = True
        elif step.await_answer:
            self.awaited += 1
            talk.wait(lambda: len(talk.answers.all) >= self.awaited, self.rule.patience)
        elif step.await_continue:
            talk.wait(lambda: bool(talk.answers.interim or talk.answers.all), 1.0)
        elif step.half_close:
            talk.socket.shutdown(socket.SHUT_WR)
        elif step.leave:
            talk.socket.close()
            self.left = True

    def _send_random(self, step: Do) -> None:
        sent = []
        for piece in pieces(step, random.Random(self.case.id)):
            sent.append(piece)
            self.talk.send(piece if step.random else b"%x\r\n%b\r\n" % (len(piece), piece))
        self.result.sent = b"".join(sent)

    def _wait_for_the_end(self) -> None:
        """Until all that the rule speaks of has happened, or its patience is over."""
        rule, talk = self.rule, self.talk
        count = max(map(len, rule.answers), default=1)
        must_end = rule.closes or rule.cut or rule.expect == "refused"
        talk.wait(lambda: not must_end and len(talk.answers.all) >= count, rule.patience)
        if rule.expect == "either" and not self.result.accepted:
            talk.wait(lambda: False, rule.patience)
