"""A backend that sees what h11 sees: one thread, so that what reached it before a request was answered has been read by then."""

import selectors
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from time import sleep
from typing import NamedTuple

import h11

BETWEEN_PIECES = 0.001  # seconds: long enough for an idle router to take the last piece for a read of its own
_PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Script(NamedTuple):
    """What to answer: bytes that are sent one by one, and whether the connection ends with them."""

    pieces: Sequence[bytes] = (_PLAIN,)
    closes: bool = False


class View:
    """One request as h11 sees it. `fault` says why it refuses the bytes, `complete` that the message ended by the rules."""

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.trailers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.fault = ""
        self.raw = b""

    def __repr__(self) -> str:
        return f"View({self.method!r} {self.target!r} {len(self.body)} complete={self.complete} {self.fault} {self.raw[:600]!r})"


class _Connection:
    """One connection; `due` are the complete requests that are not answered yet."""

    def __init__(self, accepted: socket.socket, views: list[View]) -> None:
        self.socket = accepted
        self.due: list[View] = []
        self._views = views
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self._view: View | None = None
        self._refused = False

    def take(self, data: bytes) -> None:
        """Bytes of the router, or its end."""
        if self._refused or not data:
            return  # an end inside a request leaves it incomplete
        if self._view is None:
            self._begin()
        if self._view is not None:
            self._view.raw += data
        self._parser.receive_data(data)
        self._read()

    def _begin(self) -> None:
        self._view = View()
        self._views.append(self._view)

    def _read(self) -> None:
        try:
            while self._on(self._parser.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self._refused = True
            if self._view is not None:
                self._view.fault = str(error)

    def _on(self, event: object) -> bool:
        view = self._view
        if view is None or event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
            return False
        if isinstance(event, h11.Request):
            view.method, view.target = bytes(event.method), bytes(event.target)
            view.fields = [(bytes(name), bytes(value)) for name, value in event.headers.raw_items()]
        elif isinstance(event, h11.Data):
            view.body += event.data
        elif isinstance(event, h11.EndOfMessage):
            view.trailers = [(bytes(name), bytes(value)) for name, value in event.headers]
            view.complete = True
            self.due.append(view)
            self._next()
        return True

    def _next(self) -> None:
        """A new parser for what is behind the request: the answer is not this one's business."""
        rest = self._parser.trailing_data[0]
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        self._view = None
        if rest:
            self._begin()
            self._parser.receive_data(rest)


class StrictBackend:
    """Every complete request gets the `script` of its target, or a plain 200. `views` holds all requests in the order they began.

    It answers only when there is nothing more to read on any connection. So whatever a router sent anywhere before it sent a
    request is in `views` once that request is answered.
    """

    def __init__(self) -> None:
        self.views: list[View] = []
        self.script = Script()
        self.scripted = b"/scripted"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stopping = False
        self._due: list[_Connection] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End all connections."""
        self._stopping = True
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping:
            if self._read(0.05) == 0:
                continue
            while self._read(0.0):
                pass
            due, self._due = self._due, []
            for connection in due:
                self._answer(connection)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def _read(self, seconds: float) -> int:
        ready = self._selector.select(seconds)
        for key, _ in ready:
            if key.data is None:
                self._accept()
            else:
                self._receive(key.data)
        return len(ready)

    def _accept(self) -> None:
        accepted, _ = self._listener.accept()
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector.register(accepted, selectors.EVENT_READ, _Connection(accepted, self.views))

    def _receive(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(262_144)
        except ConnectionError:
            data = b""
        connection.take(data)
        if connection.due and connection not in self._due:
            self._due.append(connection)
        if not data:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        if connection.socket.fileno() >= 0:
            self._selector.unregister(connection.socket)
            connection.socket.close()

    def _answer(self, connection: _Connection) -> None:
        due, connection.due = connection.due, []
        for view in due:
            script = self.script if view.target.startswith(self.scripted) else Script()
            with suppress(OSError):  # the router may have left
                for number, piece in enumerate(script.pieces):
                    if number:
                        sleep(BETWEEN_PIECES)
                    connection.socket.sendall(piece)
            if script.closes:
                self._drop(connection)
