"""Why a connection is not read. It is read again when the last reason is gone."""

import asyncio

QUEUE, UPLOAD = 1, 2  # its requests wait their turn; what it uploads cannot be passed on
EARLY = 4  # it sent on behind a request that may end HTTP here


class Hold:
    """The reasons, as bits, and the transport they hold."""

    __slots__ = ("_transport", "why")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.why = 0
        self._transport = transport

    def add(self, why: int) -> None:
        """Not read, for this reason too."""
        if not self.why:
            self._transport.pause_reading()
        self.why |= why

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
