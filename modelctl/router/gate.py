"""TLS for clients: each handshake counts as a connection from the moment it is accepted, and has a deadline.

uvloop's own TLS server shows a connection only once its handshake is over: one that never ends would count nowhere.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Protocol, cast

from modelctl.router.clock import Clock
from modelctl.router.process import Connection
from modelctl.router.tls import Credentials
from modelctl.settings import Settings

_AT_ONCE = 64  # connections taken from the queue before others have their turn
_PAUSE = 0.1  # seconds without accepting when the system has no more descriptors
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Doorway(Protocol):
    """What a handshake needs of its process."""

    settings: Settings
    clock: Clock

    def admit(self, connection: Connection) -> bool:
        """Whether a new connection may stay."""

    def dismiss(self, connection: Connection) -> None:
        """It is closed."""


class Handshake(asyncio.Protocol):
    """One client before it may speak. When TLS stands, the client's own protocol takes its place."""

    draining = False
    task: asyncio.Task[None] | None = None

    def __init__(self, worker: Doorway, connect: Callable[[], object]) -> None:
        self._worker = worker
        self._connect = connect
        self.deadline = worker.clock.now + worker.settings.header_timeout

    async def run(self, accepted: socket.socket, credentials: Credentials) -> None:
        """Until TLS stands or does not come to be."""
        settings = self._worker.settings
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self,
                accepted,
                ssl=credentials.context,
                ssl_handshake_timeout=settings.header_timeout + 1,
                ssl_shutdown_timeout=settings.body_timeout,
            )
        except (OSError, asyncio.CancelledError):
            accepted.close()
        finally:
            self._worker.dismiss(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._worker.dismiss(self)
        protocol = cast("asyncio.Protocol", self._connect())
        transport.set_protocol(protocol)
        protocol.connection_made(transport)

    def expired(self) -> None:
        """Part of Connection: it has had its time."""
        self.cut()

    def drain(self) -> None:
        """Part of Connection: who is in the middle of it is served; it has a deadline anyway."""

    def hurry(self) -> None:
        """Part of Connection: it asks nothing yet, and has its deadline."""

    def cut(self) -> None:
        """Part of Connection: close now."""
        if self.task is not None:
            self.task.cancel()


class TlsServer:
    """Accepts from `listener`. Beyond the limit of connections it closes at once: the handshake is the dear part."""

    def __init__(
        self, worker: Doorway, listener: socket.socket, *, credentials: Credentials, connect: Callable[[], object]
    ) -> None:
        self._worker = worker
        self._listener = listener
        self._credentials = credentials
        self._connect = connect
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._listen()

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._loop.remove_reader(self._listener)
                    self._loop.call_later(_PAUSE, self._listen)
                return
            accepted.setblocking(False)
            self._begin(accepted)

    def _begin(self, accepted: socket.socket) -> None:
        handshake = Handshake(self._worker, self._connect)
        if not self._worker.admit(handshake):
            accepted.close()
            return
        handshake.task = task = self._loop.create_task(handshake.run(accepted, self._credentials))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        """Accept no more."""
        self._closed = True
        self._loop.remove_reader(self._listener)
        self._listener.close()
