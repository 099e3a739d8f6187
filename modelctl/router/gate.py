"""The TLS handshake of one client. It counts as a connection from the moment it is accepted, and it has a deadline.

uvloop's own TLS server would show a connection only once its handshake is over: one that never ends would count nowhere.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Protocol, cast

from modelctl.router.clock import Clock
from modelctl.router.process import Connection
from modelctl.settings import Settings


class Doorway(Protocol):
    """What a handshake needs of its process."""

    settings: Settings
    clock: Clock

    def admit(self, connection: Connection) -> bool:
        """Whether a new connection may stay."""

    def dismiss(self, connection: Connection) -> None:
        """It is closed."""


class Gate(asyncio.Protocol):
    """Before the handshake the raw connection's protocol, then TLS's until the client's own takes over.

    What arrives in between is kept and handed on in order.
    """

    draining = False
    deadline = 0.0

    def __init__(self, worker: Doorway, context: ssl.SSLContext, *, connect: Callable[[], object]) -> None:
        self._worker = worker
        self._context = context
        self._connect = connect
        self._raw: asyncio.Transport | None = None
        self._handshake: asyncio.Task[None] | None = None
        self._early: list[bytes] = []
        self._ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._raw = raw = cast("asyncio.Transport", transport)
        self.deadline = self._worker.clock.now + self._worker.settings.header_timeout
        if not self._worker.admit(self):
            raw.abort()  # there is no saying why before the handshake, and that is the dear part
            return
        raw.pause_reading()
        self._handshake = asyncio.get_running_loop().create_task(self._shake_hands(raw))

    async def _shake_hands(self, raw: asyncio.Transport) -> None:
        settings = self._worker.settings
        loop = asyncio.get_running_loop()
        try:
            transport = await loop.start_tls(
                raw,
                self,
                self._context,
                server_side=True,
                ssl_handshake_timeout=settings.header_timeout + 1,
                ssl_shutdown_timeout=settings.body_timeout,
            )
        except (OSError, asyncio.CancelledError):
            raw.abort()
            transport = None
        self._worker.dismiss(self)
        if transport is not None and not self._ended:
            self._hand_over(transport)

    def _hand_over(self, transport: asyncio.Transport) -> None:
        protocol = cast("asyncio.Protocol", self._connect())
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._early:
            protocol.data_received(data)

    def data_received(self, data: bytes) -> None:
        self._early.append(data)

    def eof_received(self) -> bool:
        self._ended = True
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._ended = True
        self._worker.dismiss(self)

    # -- as a Connection of its worker

    def expired(self) -> None:
        """The handshake has had its time."""
        self.cut()

    def drain(self) -> None:
        """Who is in the middle of it is served: the handshake has a deadline of its own."""

    def cut(self) -> None:
        """Close now."""
        self._ended = True
        if self._handshake is not None:
            self._handshake.cancel()
        if self._raw is not None:
            self._raw.abort()
