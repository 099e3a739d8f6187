"""A model server that does as it is told: real sockets, one thread per connection, everything it receives written down."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic, sleep

import h11

from tests.router.wire import PATIENCE, ok

Step = bytes | Callable[[socket.socket], None]


class Arrival:
    """One request as it came: `head` and `raw` are the bytes of the wire, `body` is without chunks."""

    def __init__(self, connection: int) -> None:
        self.connection = connection
        self.head = b""
        self.raw = b""
        self.body = b""
        self.complete = False
        self.left_at = 0.0

    @property
    def line(self) -> bytes:
        """The request line."""
        return self.head.split(b"\r\n", 1)[0]

    @property
    def target(self) -> bytes:
        return self.line.split(b" ")[1]

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case, in the order of the wire."""
        lines = self.head.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:]
        pairs = [line.partition(b":") for line in lines]
        return [(name.lower(), value.strip()) for name, _, value in pairs]

    def all(self, name: bytes) -> list[bytes]:
        """The values of every line of the field `name`."""
        return [value for key, value in self.fields if key == name]

    def one(self, name: bytes) -> bytes:
        """The value of the field `name`, which must be there exactly once."""
        (value,) = self.all(name)
        return value


class Script:
    """What to do about a request: `steps` after it is complete, or already when its head is there (`early`)."""

    def __init__(self, steps: Sequence[Step], *, early: bool = False, read_pause: float = 0.0) -> None:
        self.steps = steps
        self.early = early
        self.read_pause = read_pause


class Closed(Exception):
    """A step ended the connection."""


def pause(seconds: float) -> Callable[[socket.socket], None]:
    """A step that waits."""
    return lambda connection: sleep(seconds)


def wait(event: threading.Event) -> Callable[[socket.socket], None]:
    """A step that waits until the test says so."""

    def step(connection: socket.socket) -> None:
        event.wait(PATIENCE)

    return step


def close(connection: socket.socket) -> None:
    """A step that ends the connection in an orderly way."""
    raise Closed


def goodbye(connection: socket.socket) -> None:
    """A step that ends a TLS connection with its close_notify."""
    assert isinstance(connection, ssl.SSLSocket)
    with suppress(OSError):  # the router need not answer it
        connection.unwrap()
    raise Closed


def reset(connection: socket.socket) -> None:
    """A step that breaks the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise Closed


def until_left(connection: socket.socket) -> None:
    """A step that waits until the router leaves."""
    connection.settimeout(PATIENCE)
    while connection.recv(65_536):
        pass
    raise Closed


class ModelServer:
    """Listens at `host` on `port`, or on `listener`.

    A request gets the script of the longest path it begins with, else a plain 200.
    With a context it speaks TLS; `handshakes` says how each one ended ("" for well).
    """

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        listener: socket.socket | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._listener = listener or socket.create_server((host, port), backlog=256)
        name = self._listener.getsockname()
        self.port: int = 0 if isinstance(name, str) else name[1]
        self.url = f"unix:{name}" if isinstance(name, str) else f"http{'s' if context else ''}://{host}:{self.port}"
        self.context = context
        self.handshakes: list[str] = []
        self.arrivals: list[Arrival] = []
        self.faults: list[str] = []
        self.open = 0
        self._scripts: dict[bytes, Script] = {}
        self._numbers = 0
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    # -- what tests say and ask

    def on(self, path: str, *steps: Step, early: bool = False, read_pause: float = 0.0) -> None:
        """From now on requests below `path` get these steps."""
        self._scripts[path.encode()] = Script(steps, early=early, read_pause=read_pause)

    def forget(self) -> None:
        """No scripts, no arrivals."""
        self._scripts = {}
        self.arrivals = []
        self.faults = []

    def got(self, path: str, count: int = 1, *, seconds: float = PATIENCE) -> list[Arrival]:
        """The requests for targets that begin with `path`, once there are `count` complete ones."""
        deadline = monotonic() + seconds
        while True:
            found = [arrival for arrival in list(self.arrivals) if arrival.head and arrival.target.startswith(path.encode())]
            if sum(arrival.complete for arrival in found) >= count or monotonic() > deadline:
                assert len(found) >= count, f"{len(found)} requests for {path} instead of {count}"
                return found
            sleep(0.005)

    def last(self, path: str) -> Arrival:
        """The latest request for a target that begins with `path`."""
        return self.got(path)[-1]

    def close_connections(self) -> None:
        """As a server does that restarts."""
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # the router has closed it already
                    connection.shutdown(socket.SHUT_RDWR)

    def stop(self) -> None:
        """Listen no more."""
        self._listener.close()
        self.close_connections()

    # -- the threads

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if connection.family != socket.AF_UNIX:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        if self.context is not None:
            try:
                connection = self.context.wrap_socket(connection, server_side=True)
            except OSError as error:
                self.handshakes.append(str(error))
                connection.close()
                return
            self.handshakes.append("")
        with self._lock:
            self._connections.add(connection)
            self._numbers += 1
            number = self._numbers
            self.open += 1
        arrival = None
        try:
            rest = b""
            while True:
                arrival = Arrival(number)
                rest = self._one(connection, arrival, rest)
        except (OSError, Closed):
            if arrival is not None:
                arrival.left_at = monotonic()
        finally:
            with self._lock:
                self._connections.discard(connection)
                self.open -= 1
            connection.close()

    def _one(self, connection: socket.socket, arrival: Arrival, rest: bytes) -> bytes:
        """Reads a request, answers it, and returns what came behind it."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        reading = _Reading(self, connection, parser, arrival, rest)
        reading.head()
        script = self._script(arrival.target)
        if not script.early:
            reading.body(script.read_pause)
        for step in script.steps:
            if isinstance(step, bytes):
                connection.sendall(step)
            else:
                step(connection)
        if script.early:
            reading.body(script.read_pause)
        return parser.trailing_data[0]

    def _script(self, target: bytes) -> Script:
        fitting = [path for path in self._scripts if target.startswith(path)]
        return self._scripts[max(fitting, key=len)] if fitting else Script([ok()])


class _Reading:
    """One request being read."""

    def __init__(
        self, server: ModelServer, connection: socket.socket, parser: h11.Connection, arrival: Arrival, rest: bytes
    ) -> None:
        self._server = server
        self._connection = connection
        self._parser = parser
        self._arrival = arrival
        self._take(rest)

    def _take(self, data: bytes) -> None:
        if data:
            if not self._arrival.raw:
                self._server.arrivals.append(self._arrival)
            if len(self._arrival.raw) < 1 << 20:
                self._arrival.raw += data
            self._parser.receive_data(data)

    def _receive(self) -> None:
        data = self._connection.recv(262_144)
        if not data:
            raise Closed
        self._take(data)

    def _event(self) -> object:
        try:
            return self._parser.next_event()
        except h11.RemoteProtocolError as error:
            self._server.faults.append(f"{error}: {self._arrival.raw[:2000]!r}")
            raise Closed from None

    def head(self) -> None:
        while not isinstance(self._event(), h11.Request):
            self._receive()
        self._arrival.head = self._arrival.raw.split(b"\r\n\r\n", 1)[0] + b"\r\n\r\n"

    def body(self, read_pause: float) -> None:
        pieces: list[bytes] = []
        while True:
            event = self._event()
            if isinstance(event, h11.Data):
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                sleep(read_pause)
                self._receive()
        self._arrival.body = b"".join(pieces)
        self._arrival.complete = True
