"""Why a connection is not read. It is read again when the last reason is gone."""

import asyncio

from modelctl.router.narrow import Receiver, narrow

QUEUE, UPLOAD = 1, 2  # its requests wait their turn; what it uploads cannot be passed on
EARLY = 4  # it sent on behind a request that may end HTTP here
BEYOND = 8  # it asked for more ahead than is ever answered here
ANSWERS = 16  # it does not read the answers it has


class Hold:
    """The reasons, as bits, and the transport they hold. Once an upload was held, `receiver` gets small reads."""

    __slots__ = ("_narrow", "_receiver", "_transport", "why")

    def __init__(self, transport: asyncio.Transport, receiver: Receiver) -> None:
        self.why = 0
        self._transport = transport
        self._receiver = receiver
        self._narrow = False

    def add(self, why: int) -> None:
        """Not read, for this reason too."""
        if not self.why:
            self._transport.pause_reading()
        self.why |= why
        if why == UPLOAD and not self._narrow:
            self._narrow = narrow(self._transport, self._receiver)

    def drop(self, why: int) -> None:
        """Not for these reasons any more."""
        if self.why and not self.why & ~why:
            self._transport.resume_reading()
        self.why &= ~why


def limit_reading(transport: asyncio.Transport) -> bool:
    """Whether it is TLS: then nothing more is read from the socket while it is paused. uvloop would read on up to 256 KiB, and
    drop that when the peer closes before it is asked for."""
    secure = transport.get_extra_info("ssl_object") is not None
    if secure:
        transport.set_read_buffer_limits(high=1, low=0)  # type: ignore[attr-defined]
    return secure
