"""Small reads of large answers.

uvloop reads up to 250 KiB at once, and behind a client that stops reading all of it stays in memory. So from the first time that
a backend's connection brings much at once, or is held back, it is read in pieces of NARROW bytes. Connections that carry small
answers to quick clients never get here: a read into a buffer costs a call more.
"""

import asyncio
from typing import Final, Protocol, cast

NARROW: Final = 81_920  # 64 KiB and a head are one read
_buffer = memoryview(bytearray(NARROW))  # one for all: what is read is copied out before anybody else reads


class Receiver(Protocol):
    """An asyncio protocol."""

    def data_received(self, data: bytes) -> None:
        """Bytes came."""

    def eof_received(self) -> bool:
        """No more will come."""

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is closed."""

    def pause_writing(self) -> None:
        """It cannot take more."""

    def resume_writing(self) -> None:
        """It can again."""


class Narrow:
    """Stands before `receiver` as the protocol of its transport (asyncio.BufferedProtocol by its methods)."""

    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver

    def get_buffer(self, size_hint: int) -> memoryview:
        return _buffer

    def buffer_updated(self, size: int) -> None:
        self._receiver.data_received(bytes(_buffer[:size]))

    def eof_received(self) -> bool:
        return self._receiver.eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self._receiver.connection_lost(error)

    def pause_writing(self) -> None:
        self._receiver.pause_writing()

    def resume_writing(self) -> None:
        self._receiver.resume_writing()


def narrow(transport: asyncio.Transport, receiver: Receiver) -> bool:
    """From now on reads are small. True."""
    transport.set_protocol(cast("asyncio.BaseProtocol", Narrow(receiver)))
    return True
