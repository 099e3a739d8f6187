"""Why a connection is not read. It is read again when the last reason is gone."""

import asyncio

QUEUE, UPLOAD = 1, 2  # its requests wait their turn; what it uploads cannot be passed on


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
