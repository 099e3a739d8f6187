"""A model server for bodies too large to keep: what comes in is counted and hashed, what goes out is made of one block."""

import socket
import threading
from contextlib import suppress
from hashlib import sha256
from random import Random
from typing import NamedTuple

import h11

from tests.router.wire import PATIENCE, ok

KIB = 1 << 10
MIB = 1 << 20
BLOCK = Random(7).randbytes(MIB)


class Sum(NamedTuple):
    """What is known of a body."""

    size: int
    digest: str


def sum_of(blocks: int) -> Sum:
    """Of so many blocks in a row."""
    digest = sha256()
    for _ in range(blocks):
        digest.update(BLOCK)
    return Sum(blocks * len(BLOCK), digest.hexdigest())


class Bulk:
    """`GET /down/N` and `GET /down-chunked/N` are answered with N blocks, everything else when it has come, with its size and
    digest. With `going` cleared, nothing of a body is read."""

    def __init__(self) -> None:
        self.going = threading.Event()
        self.going.set()
        self.sent = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1_024)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Accept no more."""
        self.going.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * KIB)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, h11.RemoteProtocolError):
            parser = h11.Connection(h11.SERVER)
            while self._one(connection, parser):
                parser = h11.Connection(h11.SERVER)

    def _one(self, connection: socket.socket, parser: h11.Connection) -> bool:
        digest, size = sha256(), 0
        head: h11.Request | None = None
        while not isinstance(event := _event(connection, parser), h11.EndOfMessage):
            if isinstance(event, h11.Request):
                head = event
                self.going.wait(PATIENCE * 3)
            elif isinstance(event, h11.Data):
                digest.update(event.data)
                size += len(event.data)
            else:
                return False
        assert head is not None
        what, _, count = head.target.decode().lstrip("/").partition("/")
        if what.startswith("down"):
            self._send(connection, int(count), chunked=what == "down-chunked")
        else:
            connection.sendall(ok(f"{size} {digest.hexdigest()}".encode()))
        return True

    def _send(self, connection: socket.socket, count: int, *, chunked: bool) -> None:
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % (count * len(BLOCK))
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        for _ in range(count):
            connection.sendall(b"%x\r\n%b\r\n" % (len(BLOCK), BLOCK) if chunked else BLOCK)
            self.sent += len(BLOCK)
        if chunked:
            connection.sendall(b"0\r\n\r\n")


def _event(connection: socket.socket, parser: h11.Connection) -> object:
    while (event := parser.next_event()) is h11.NEED_DATA:
        parser.receive_data(connection.recv(262_144))
    return event
