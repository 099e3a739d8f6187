"""Request ids. A UUIDv7 (RFC 9562 5.7) is both the prediction's key and, in hex, the trace id of a request without one."""

import re
from collections.abc import Callable
from random import getrandbits

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_VERSION_AND_VARIANT = (7 << 76) | (2 << 62)
_RANDOM = ~((0xF << 76) | (0x3 << 62)) & ((1 << 80) - 1)


def uuid7(unix_us: int, chance: Callable[[int], int] = getrandbits) -> bytes:
    """16 bytes that sort by time: 48 bits of Unix milliseconds, version, and 74 bits of chance."""
    return ((unix_us // 1000 << 80) | _VERSION_AND_VARIANT | (chance(80) & _RANDOM)).to_bytes(16, "big")


def valid_request_id(value: bytes) -> bool:
    """Whether a client's X-Request-Id is taken over."""
    return _REQUEST_ID.fullmatch(value) is not None


def valid_traceparent(value: bytes) -> bool:
    """Whether a client's traceparent continues its trace (W3C Trace Context 3.2)."""
    return _TRACEPARENT.fullmatch(value) is not None


def identity_lines(id_: bytes, request_id: bytes, *, parent: bytes) -> bytes:
    """The field lines by which a backend knows a request; its span is a child of `parent`, a traceparent or b""."""
    text = id_.hex().encode()
    if parent:
        return b"x-request-id: %b\r\ntraceparent: %b-%b-%b\r\n" % (request_id, parent[:35], text[16:], parent[-2:])
    return b"x-request-id: %b\r\ntraceparent: 00-%b-%b-01\r\n" % (request_id, text, text[16:])


def own_span(head: bytes, id_: bytes, *, copy: bytes) -> bytes:
    """A head whose traceparent names the span `copy` in place of that of the request `id_`."""
    return head.replace(b"-%b-" % id_[8:].hex().encode(), b"-%b-" % copy.hex().encode(), 1)
