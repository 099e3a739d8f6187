"""Bytes on their way out: as few copies and system calls as can be, and the chunked transfer coding (RFC 9112 7.1)."""

import asyncio

_WORTH_COPYING = 16_384  # bytes up to which putting them together costs less than a longer system call
LAST_CHUNK = b"0\r\n\r\n"
BEGINNING = 4_096  # bytes that are recorded of a body beyond its limit


def chunked(parts: list[bytes], size: int) -> list[bytes]:
    """The parts, `size` bytes together, as one chunk, or nothing when they are empty: an empty chunk would end the message."""
    return [b"%x\r\n" % size, *parts, b"\r\n"] if size else []


def last_chunk(trailers: list[bytes] | None) -> bytes:
    """The end of a chunked body, with these lines behind it."""
    return b"0\r\n%b\r\n" % b"".join(trailers) if trailers else LAST_CHUNK


def send(transport: asyncio.Transport, parts: list[bytes], *, size: int) -> None:
    """One write for small messages. Of large ones, of about `size` bytes, no copy is made for it."""
    if size < _WORTH_COPYING:
        transport.write(b"".join(parts) if len(parts) != 1 else parts[0])
    else:
        transport.writelines(parts)


def recorded(parts: list[bytes], size: int, *, limit: int, stream: bool = False) -> bytes:
    """What is written down of a body of `size` bytes, of which `parts` are the first ones.

    Beyond `limit` a body has lost its end and cannot be read as JSON any more: its beginning shows what it was. A stream of events
    can be read event by event, so of it `limit` bytes stay.
    """
    return prefix(parts, limit=limit if size <= limit or stream else min(limit, BEGINNING))


def prefix(parts: list[bytes], *, limit: int) -> bytes:
    """The first `limit` bytes of the parts."""
    first = parts[0] if parts else b""
    whole = first if len(parts) <= 1 or len(first) >= limit else b"".join(parts)
    return whole if len(whole) <= limit else whole[:limit]
