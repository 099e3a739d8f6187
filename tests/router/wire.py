"""A client that sends exactly the bytes it is given and reads answers with a strict parser."""

import socket
import struct
from collections.abc import Iterator
from time import monotonic
from types import TracebackType
from typing import NamedTuple

import h11

PATIENCE = 10.0


class Incomplete(Exception):
    """The connection ended, or broke the rules, before an answer was complete; `body` is what had come of it."""

    def __init__(self, why: str, body: bytes = b"") -> None:
        super().__init__(why)
        self.body = body


class Reply(NamedTuple):
    """One complete answer: field names as they came on the wire."""

    status: int
    fields: list[tuple[bytes, bytes]]
    body: bytes
    version: bytes
    seconds: float

    def all(self, name: bytes) -> list[bytes]:
        """The values of every line of the field `name` (lower case), in order."""
        return [value for key, value in self.fields if key.lower() == name]

    def one(self, name: bytes) -> bytes:
        """The value of the field `name`, which must be there exactly once."""
        (value,) = self.all(name)
        return value


class Client:
    """One connection to a router."""

    def __init__(
        self, port: int = 0, *, source: str = "127.0.0.1", receive_buffer: int = 0, connected: socket.socket | None = None
    ) -> None:
        self._rest = b""
        self.socket = connected or socket.socket()
        if connected is not None:
            connected.settimeout(PATIENCE)
            return
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.bind((source, 0))
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.socket.close()

    def send(self, *pieces: bytes) -> None:
        """Each piece on its own."""
        for piece in pieces:
            self.socket.sendall(piece)

    def read(self, method: bytes = b"GET") -> Reply:
        """The next final answer. Raises Incomplete."""
        started = monotonic()
        parser = _parser(method)
        if self._rest:  # no data would mean the end of the connection
            parser.receive_data(self._rest)
        head: h11.Response | None = None
        body: list[bytes] = []
        try:
            while True:
                event = parser.next_event()
                if event is h11.NEED_DATA:
                    parser.receive_data(self.socket.recv(262_144))
                elif isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    break
        except (h11.RemoteProtocolError, ConnectionError, TimeoutError) as error:
            raise Incomplete(str(error), b"".join(body)) from None
        self._rest = parser.trailing_data[0]
        if head is None:
            raise Incomplete("the connection ended before an answer")
        fields = [(bytes(name), bytes(value)) for name, value in head.headers.raw_items()]
        return Reply(head.status_code, fields, b"".join(body), bytes(head.http_version), monotonic() - started)

    def body(self) -> Iterator[bytes]:
        """The body of the next answer as it comes; nothing is kept. Raises h11.RemoteProtocolError when it is not whole."""
        parser = _parser(b"GET")
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                parser.receive_data(self.socket.recv(262_144))
            elif isinstance(event, h11.Data):
                yield bytes(event.data)

    def ask(self, data: bytes) -> Reply:
        """Send one request and read its answer."""
        self.socket.sendall(data)
        return self.read(data.split(b" ", 1)[0])

    def wait_for(self, data: bytes) -> None:
        """Reads until exactly these bytes, of an interim answer, have come."""
        while len(self._rest) < len(data):
            self._rest += self.socket.recv(1_000)
        assert self._rest == data
        self._rest = b""

    def rest(self) -> bytes:
        """Everything until the router closes the connection."""
        pieces = [self._rest]
        self._rest = b""
        while data := self._receive():
            pieces.append(data)
        return b"".join(pieces)

    def _receive(self) -> bytes:
        try:
            return self.socket.recv(262_144)
        except ConnectionError:
            return b""

    def drain(self) -> None:
        """Read and drop until the orderly end. Raises ConnectionError when the connection ends otherwise."""
        while self.socket.recv(262_144):
            pass

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Leave without a word."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def _parser(method: bytes) -> h11.Connection:
    """A parser that expects the answer to a request of this method."""
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    try:
        parser.send(h11.Request(method=method, target=b"/", headers=[(b"host", b"x")]))
    except h11.LocalProtocolError:  # what a test sends need not be a method
        return _parser(b"GET")
    parser.send(h11.EndOfMessage())
    return parser


def get(target: str = "/", *fields: str, method: str = "GET", host: str = "models.example") -> bytes:
    """A request without a body."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def post(target: str, body: bytes, *fields: str) -> bytes:
    """A request with a body of known length."""
    return get(target, f"Content-Length: {len(body)}", *fields, method="POST") + body


def chunked(*chunks: bytes) -> bytes:
    """The chunks and the last one."""
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def post_chunked(target: str, *chunks: bytes, fields: tuple[str, ...] = ()) -> bytes:
    """A request whose body comes in chunks."""
    return get(target, "Transfer-Encoding: chunked", *fields, method="POST") + chunked(*chunks)


def ok(body: bytes = b"{}", *fields: str) -> bytes:
    """A plain answer of a model server."""
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def ok_chunked(*chunks: bytes, fields: tuple[str, ...] = ()) -> bytes:
    """An answer in chunks."""
    lines = ["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + chunked(*chunks)
