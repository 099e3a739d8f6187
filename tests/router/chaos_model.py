"""A model whose every answer is bound to its name, the request's id and the request's body, so that no other can pass for it."""

import socket
import threading
from contextlib import suppress
from enum import StrEnum
from hashlib import sha256
from time import monotonic, sleep
from typing import NamedTuple

import h11

LARGE = 300 * 1024


class Kind(StrEnum):
    """What is asked for: the last segment of the path."""

    SMALL = "small"
    UP = "up"  # a large request, a small answer
    DOWN = "down"  # the other way round
    CHUNKED = "chunked"  # large both ways, in chunks
    EVENTS = "events"
    GATE = "gate"  # answered when the test says so


def digest(body: bytes) -> str:
    """What is known of a body."""
    return sha256(body).hexdigest()


def answer_to(model: str, kind: Kind, *, id_: str, body: bytes) -> bytes:
    """The whole answer, without its framing."""
    line = b"%b %b\n" % (model.encode(), digest(id_.encode() + b" " + body).encode())
    match kind:
        case Kind.DOWN | Kind.CHUNKED:
            return (line * (LARGE // len(line) + 1))[:LARGE]
        case Kind.EVENTS:
            return b"".join(b"data: %d %b\n" % (number, line) for number in range(8))
    return line


class Came(NamedTuple):
    """A request that reached the model: all of it, or its head and a part of its body. `digest` is that of a whole body."""

    id: str
    whole: bool
    digest: str


class ChaosModel:
    """Serves until `stop`; `came` is what it got, `faults` what was no HTTP."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.came: list[Came] = []
        self.faults: list[str] = []
        self.waiting = 0
        self.gate = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Accept no more; connections end with their other side."""
        self.gate.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def waited_for(self, count: int, seconds: float) -> bool:
        """Whether `count` requests wait at the gate within `seconds`."""
        deadline = monotonic() + seconds
        while self.waiting < count and monotonic() < deadline:
            sleep(0.005)
        return self.waiting >= count

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        with connection, suppress(OSError):
            while self._one(connection, parser):
                parser.start_next_cycle()

    def _one(self, connection: socket.socket, parser: h11.Connection) -> bool:
        """Whether another request may come."""
        head: h11.Request | None = None
        body: list[bytes] = []
        try:
            while not isinstance(event := self._event(connection, parser), h11.EndOfMessage):
                if isinstance(event, h11.ConnectionClosed):
                    return False
                if isinstance(event, h11.Request):
                    head = event
                elif isinstance(event, h11.Data):
                    body.append(bytes(event.data))
        except (OSError, h11.RemoteProtocolError) as error:
            self._on_part(head, error, ended=parser.their_state is h11.ERROR)
            return False
        assert head is not None
        whole = b"".join(body)
        self.came.append(Came(_id_of(head), whole=True, digest=digest(whole)))
        self._answer(connection, parser, head=head, body=whole)
        return parser.our_state is h11.DONE

    def _on_part(self, head: h11.Request | None, error: Exception, *, ended: bool) -> None:
        if head is not None:
            self.came.append(Came(_id_of(head), whole=False, digest=""))
        if isinstance(error, h11.RemoteProtocolError) and ended and "closed" not in str(error):
            self.faults.append(str(error))

    def _event(self, connection: socket.socket, parser: h11.Connection) -> object:
        while (event := parser.next_event()) is h11.NEED_DATA:
            parser.receive_data(connection.recv(262_144))
        return event

    def _answer(self, connection: socket.socket, parser: h11.Connection, *, head: h11.Request, body: bytes) -> None:
        kind = Kind(head.target.rpartition(b"/")[2].decode())
        if kind is Kind.GATE:
            self._wait()
        answer = answer_to(self.name, kind, id_=_id_of(head), body=body)
        in_chunks = kind in (Kind.CHUNKED, Kind.EVENTS)
        framing = ("transfer-encoding", "chunked") if in_chunks else ("content-length", str(len(answer)))
        type_ = "text/event-stream" if kind is Kind.EVENTS else "text/plain"
        pieces = [parser.send(h11.Response(status_code=200, headers=[framing, ("content-type", type_)]))]
        size = 7_000 if kind is Kind.CHUNKED else 80 if kind is Kind.EVENTS else LARGE
        pieces += [parser.send(h11.Data(data=answer[start : start + size])) for start in range(0, len(answer), size)]
        pieces.append(parser.send(h11.EndOfMessage()))
        for piece in pieces:
            connection.sendall(piece or b"")
            if kind is Kind.EVENTS:
                sleep(0.002)

    def _wait(self) -> None:
        with self._lock:
            self.waiting += 1
        self.gate.wait(10)
        with self._lock:
            self.waiting -= 1


def _id_of(head: h11.Request) -> str:
    (found,) = [value for name, value in head.headers if name == b"x-request-id"]
    return found.decode()
