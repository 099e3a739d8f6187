"""Trailers of answers, for clients that say they read them (RFC 9110 6.5).

A trailer that a client takes for a field it acted on already is an attack, so only names are passed on that mean something behind a
body. Requests' trailers are dropped.
"""

from typing import Final, Protocol

import httptools

ALLOWED: Final = frozenset(
    {
        b"content-digest",
        b"digest",
        b"etag",
        b"grpc-message",
        b"grpc-status",
        b"grpc-status-details-bin",
        b"repr-digest",
        b"server-timing",
    }
)
MAX_TRAILERS: Final = 16_384  # bytes of an answer's end without any of its body


class Reader(Protocol):
    """Who reads the answer; `trailers` are its lines to forward, each with its CR LF."""

    head_complete: bool
    complete: bool
    trailers: list[bytes] | None

    def on_headers_complete(self) -> None:
        """The head is there."""

    def on_body(self, data: bytes) -> None:
        """More of the body."""

    def on_message_complete(self) -> None:
        """The message is over."""


class TrailerParser:
    """Stands where an answer's parser stands and reads its trailers too: llhttp gives them field by field, which costs so much that
    only answers whose client wants trailers are read this way.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._bodyless = 0

    def feed_data(self, data: bytes) -> None:
        """As httptools' parsers do. What never ends is not HTTP either."""
        self._bodyless += len(data)
        self._parser.feed_data(data)
        reader = self._reader
        if self._bodyless > MAX_TRAILERS and reader.head_complete and not reader.complete:
            raise httptools.HttpParserError("the end of a chunked body is too large")

    def get_status_code(self) -> int:
        """Of the head that is there."""
        return self._parser.get_status_code()

    def should_keep_alive(self) -> bool:
        """Whether a further answer may come."""
        return self._parser.should_keep_alive()

    def on_header(self, name: bytes, value: bytes) -> None:
        reader = self._reader
        if reader.head_complete and not reader.complete and reader.trailers is not None and name.lower() in ALLOWED:
            reader.trailers.append(b"%b: %b\r\n" % (name, value))

    def on_headers_complete(self) -> None:
        self._reader.on_headers_complete()

    def on_body(self, data: bytes) -> None:
        self._bodyless = 0
        self._reader.on_body(data)

    def on_message_complete(self) -> None:
        self._reader.on_message_complete()
