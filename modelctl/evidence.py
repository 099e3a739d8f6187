"""What a router writes down, and its wire form in the spool.

A worker appends frames to its spool; a recorder reads them. Four records exist:

- *Served*: one arm answered one request of a client.
- *Compared*: the baseline answered it and a candidate was shown it: the request and both answers together, so that
  nothing downstream joins anything.
- *Tally*: how many records the worker had offered, accepted and dropped when it wrote this batch. Tallies are cumulative per
  spool, so at any position of a spool `offered = accepted + dropped`, and `accepted` is the number of records before it.
- *Drops*: whose records were dropped since the Drops before it: what makes the evidence about an arm incomplete. Written only
  when there are any, and like a tally counted among no records.

A frame is `u32 length | u32 crc32 | u8 version | payload`, little-endian; length and checksum are those of the payload,
which is MessagePack. Fields are positional: new ones go to the end and have a default.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

import msgspec

from modelctl.errors import Corrupt

VERSION = 1
HEADER = struct.Struct("<IIB")
MAX_PAYLOAD = 128 * 1024 * 1024

# A spool is one folder per boot of a worker: segments in the order of their names, and a file its owner holds a lock on.
SEGMENT_SUFFIX = ".seg"
LOCK_FILE = "lock"

# Beside the spools: what could not be recorded, a file with one frame each, and the reason in a file beside it.
QUARANTINE = "quarantine"
FRAME_SUFFIX = ".frame"
REASON_SUFFIX = ".reason"


def segment_name(number: int) -> str:
    """The file name of a spool's `number`-th segment, from 1: sorts in the order of writing."""
    return f"{number:010d}{SEGMENT_SUFFIX}"


# Why an answer is not a complete HTTP response of its backend.
CONNECT = "connect"  # no connection to any endpoint within the connect timeout
TLS = "tls"  # the TLS handshake failed, or the files for it cannot be used
TIMEOUT = "timeout"  # no first byte within the response timeout
RESET = "reset"  # the connection broke before the first byte
TRUNCATED = "truncated"  # the connection broke, or the framing did, inside the answer
INVALID = "invalid"  # bytes that are not HTTP
OVERLOAD = "overload"  # the backend's limits of requests in flight and pending were reached
CLIENT_GONE = "client-gone"  # the client left before its answer was complete; says nothing about the backend

# How an answer ended: as HTTP says, or it broke off or never came.
CLEAN = "clean"
CUT = "cut"

# Why a request that should have been shown to an arm was not.
SENT = "sent"  # it was
TOO_LARGE = "too-large"  # its body is larger than the route's `shadow_bytes`
INFLIGHT = "inflight"  # the arm's limit of shown requests in flight and waiting was reached
ABORTED = "aborted"  # the request never became complete
UPGRADE = "upgrade"  # it asked for another protocol: a copy of it would open a second conversation
SHED = "shed"  # the router was short of memory or time: copies go first


# What the route's redaction did to a record; added up.
REQUEST_REDACTED = 1  # values of the request's body were replaced
REQUEST_LEFT_OUT = 2  # its body was left out: it could not be searched
ANSWER_REDACTED = 4  # likewise the answer's
ANSWER_LEFT_OUT = 8


class Request(msgspec.Struct, frozen=True, array_like=True):
    """What the client sent: `body` is a prefix of `size` bytes, kept up to the route's capture limit.

    `headers` are the fields that the route's capture names, with lower-case names, as they came.
    """

    method: bytes
    target: bytes
    content_type: bytes
    encoding: bytes
    body: bytes
    size: int
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Answer(msgspec.Struct, frozen=True, array_like=True):
    """What one backend answered. `status` is 0 when no response head arrived; `failure` is "" for a complete response.

    Times are microseconds: from the moment the router had the request's head, and for a shown request from the moment it was
    sent. `first_byte` is 0 when none came, and `first_event` when it was no event stream or held no whole event.
    `body` is a prefix of `size` bytes, as they were on the wire (still encoded).
    """

    backend: str
    status: int
    failure: str
    latency: int
    first_byte: int
    content_type: bytes
    encoding: bytes
    body: bytes
    size: int
    first_event: int = 0

    @property
    def ended(self) -> str:
        """CLEAN or CUT."""
        return CUT if self.failure else CLEAN


def is_failure(answer: Answer) -> bool:
    """Whether the answer says by itself that its backend failed: a status of 500 or above, or no complete answer while somebody
    waited for it. Bodies of failures are in every sample."""
    return answer.status >= 500 or answer.failure not in ("", CLIENT_GONE)


class Context(msgspec.Struct, frozen=True, array_like=True):
    """Which decision a request fell under. `probability` is the answering arm's share in basis points.

    `unit` is empty when the request itself is the unit. `instead_of` is the arm that was decided for, when another one answered.
    """

    route: str
    rollout: int
    stage: int
    table: int
    role: str
    reason: str
    probability: int
    unit: bytes
    instead_of: str = ""


class Served(msgspec.Struct, frozen=True, array_like=True, tag="s"):
    """`id` is a UUIDv7, unique per request; `at` its Unix time in microseconds. `shown` pairs each arm with its fate.

    `attempts` is how often the request was sent to the answering arm: more than once when it was repeated. `redacted` is what the
    route's redaction did to bodies; the size of one whose values were replaced is that of what is left. Of a route that keeps a
    sample of its bodies, `bodies_share` is its share in basis points, and `in_sample` whether this request's unit is drawn.
    """

    id: bytes
    request_id: bytes
    at: int
    context: Context
    request: Request
    answer: Answer
    shown: tuple[tuple[str, str], ...] = ()
    attempts: int = 1
    redacted: int = 0
    bodies_share: int = 10_000
    in_sample: bool = True


class Compared(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """`served` is the record of the answer the client got, `shadow` the answer of the arm that was shown the request.

    `redacted` is about that answer alone.
    """

    served: Served
    shadow: Answer
    redacted: int = 0


class Tally(msgspec.Struct, frozen=True, array_like=True, tag="t"):
    """Cumulative counts of one spool: `offered = accepted + sum(dropped.values())`. `dropped` is by reason."""

    offered: int
    accepted: int
    dropped: dict[str, int]


class Dropped(msgspec.Struct, frozen=True, array_like=True):
    """`n` records of one arm in one stage that were dropped for one reason: answers to clients, or as a shadow (`pair`)."""

    route: str
    rollout: int
    stage: int
    arm: str
    pair: bool
    reason: str
    n: int


class Drops(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """What was dropped up to the Unix microsecond `at` and was not told before."""

    at: int
    dropped: tuple[Dropped, ...]


Record = Served | Compared | Tally | Drops


class _Joined(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """The wire form of Compared around a *served* record that is encoded already."""

    served: msgspec.Raw
    shadow: Answer
    redacted: int = 0


def copy_span(id_: bytes, backend: str) -> bytes:
    """The span id of a copy for `backend`: 8 bytes, not those of the request's own span, which are the last of its id."""
    return (int.from_bytes(id_[8:]) ^ (crc32(backend.encode()) or 1)).to_bytes(8)


_unpack = HEADER.unpack_from
encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


def encode_compared(served: bytes, shadow: Answer, *, redacted: int = 0) -> bytes:
    """What `encode(Compared(...))` gives, without encoding the *served* record again."""
    return encode(_Joined(msgspec.Raw(served), shadow, redacted))


def frame(record: Record) -> bytes:
    """The bytes of one record in a spool."""
    return framed(encode(record))


def framed(payload: bytes) -> bytes:
    """The bytes of one encoded record in a spool."""
    return header(payload) + payload


def header(payload: bytes) -> bytes:
    """What stands before one encoded record in a spool."""
    return HEADER.pack(len(payload), crc32(payload), VERSION)


class Frame(NamedTuple):
    """One frame read from a segment: its payload, and the offset just behind it."""

    payload: bytes
    end: int


def frames(segment: bytes, start: int = 0) -> Iterator[Frame]:
    """The whole frames of `segment` from `start`; ends before a frame that is not all there yet.

    Raises Corrupt at a frame whose length, checksum or version is wrong: what follows it cannot be trusted.
    """
    offset, size = start, len(segment)
    behind = offset + HEADER.size
    while behind <= size:
        length, checksum, version = _unpack(segment, offset)
        if version != VERSION or length > MAX_PAYLOAD:
            raise Corrupt(f"the frame at byte {offset} has version {version} and length {length}; known is version {VERSION}")
        end = behind + length
        if end > size:
            return
        payload = segment[behind:end]
        if crc32(payload) != checksum:
            raise Corrupt(f"the frame at byte {offset} does not match its checksum")
        yield Frame(payload, end)
        offset, behind = end, end + HEADER.size


def decode(payload: bytes) -> Record:
    """The record in a frame's payload. Raises Corrupt."""
    try:
        record: Record = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt(f"a frame holds no record: {error}") from error
    return record
