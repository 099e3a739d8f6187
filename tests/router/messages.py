"""Strategies of valid HTTP/1 messages, and of the ways to spoil them."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import strategies as st

from modelctl.router.answer_head import KEEP, answer_field
from modelctl.router.head import REQUEST_RULES

Fields = tuple[tuple[bytes, bytes], ...]

_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PATH = [*"abcXYZ019-_~!$&'()*+,;=:@", "%20", "%41", "%e2%82%ac", "."]
_QUERY = [*"aZ09-_~!$&'()*+,;=:@/?.\\|^`{}[]<>\"", "%20", "%2f", "%", "../"]
_WORDS = bytes(range(0x21, 0x7F)) + bytes(range(0x80, 0x100))


def _of(alphabet: bytes, *, least: int, most: int) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(alphabet), min_size=least, max_size=most).map(bytes)


_names = _of(_TOKEN, least=1, most=12)
_values = st.lists(_of(_WORDS, least=1, most=12), max_size=3).flatmap(
    lambda words: st.sampled_from([b" ", b"  ", b"\t", b" \t "]).map(lambda gap: gap.join(words))
)
_segments = st.lists(st.sampled_from(_PATH), min_size=1, max_size=6).map("".join).filter(lambda text: not text.startswith("."))
_query = st.lists(st.sampled_from(_QUERY), max_size=10).map("".join)


def _fields(names: st.SearchStrategy[bytes]) -> st.SearchStrategy[Fields]:
    """A few fields; some come twice, in any case."""
    repeated = st.sampled_from([b"X-Twice", b"x-twice", b"X-TWICE"])
    return st.lists(st.tuples(names | repeated, _values), max_size=6).map(tuple)


request_fields = _fields(_names.filter(lambda name: name.lower() not in REQUEST_RULES))
answer_fields = _fields(_names.filter(lambda name: answer_field(name + b": x").use == KEEP))
_bytes = st.binary(max_size=40) | st.builds(
    lambda piece, times: piece * times, st.binary(min_size=1, max_size=9), st.integers(1, 9_000)
)
_chunks = st.lists(_bytes.filter(bool), max_size=5).map(tuple)
_extension = st.sampled_from([b"", b"", b";a", b";a=b", b';a="b c"', b";a;b=1"])
_width = st.sampled_from([0, 0, 0, 4])


class Chunk(NamedTuple):
    """One chunk and how it is written."""

    data: bytes
    extension: bytes = b""
    width: int = 0
    upper: bool = False

    def render(self) -> bytes:
        """Its bytes on the wire."""
        size = (b"%x" % len(self.data)).rjust(self.width, b"0")
        return b"%b%b\r\n%b\r\n" % (size.upper() if self.upper else size, self.extension, self.data)


class Body(NamedTuple):
    """The bytes of a body: `chunks` None stands for a body of known length, or none at all."""

    data: bytes = b""
    chunks: tuple[Chunk, ...] | None = None
    trailers: Fields = ()

    def framing(self) -> Fields:
        """The field that says where it ends."""
        return ((b"Transfer-Encoding", b"chunked"),) if self.chunks is not None else ((b"Content-Length", b"%d" % len(self.data)),)

    def render(self) -> bytes:
        """Its bytes on the wire."""
        if self.chunks is None:
            return self.data
        return b"".join(chunk.render() for chunk in self.chunks) + b"0\r\n" + lines(self.trailers) + b"\r\n"


class Message(NamedTuple):
    """A request or an answer: `line` is its first line, `framing` the field of its length or nothing."""

    line: bytes
    fields: Fields
    framing: Fields
    body: Body

    def render(self) -> bytes:
        """Its bytes on the wire."""
        return self.line + b"\r\n" + lines((*self.framing, *self.fields)) + b"\r\n" + (self.body.render() if self.framing else b"")


def lines(fields: Fields) -> bytes:
    """Field lines."""
    return b"".join(b"%b: %b\r\n" % field for field in fields)


def _chunked(chunks: Sequence[Chunk], trailers: Fields) -> Body:
    return Body(b"".join(chunk.data for chunk in chunks), tuple(chunks), trailers)


_chunk = st.builds(Chunk, _bytes.filter(bool), _extension, _width, st.booleans())
chunked_bodies = st.builds(_chunked, st.lists(_chunk, max_size=4), request_fields)
sized_bodies = _bytes.map(Body)
targets = st.builds(
    lambda segments, query: ("/" + "/".join(segments) + ("?" + query if query else "")).encode(),
    st.lists(_segments, max_size=4),
    _query,
).filter(lambda target: not target.startswith(b"/-/"))  # the router's own
methods = st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"HEAD", b"REPORT", b"PROPFIND"])
_host: Fields = ((b"Host", b"models.example"),)


class Sent(NamedTuple):
    """A request of a client, and what a strict parser should see of it at the backend."""

    method: bytes
    target: bytes
    fields: Fields
    body: Body
    message: Message

    def render(self) -> bytes:
        """Its bytes on the wire."""
        return self.message.render()


def _sent(method: bytes, target: bytes, fields: Fields, body: Body | None) -> Sent:
    message = Message(b"%b %b HTTP/1.1" % (method, target), (*_host, *fields), body.framing() if body else (), body or Body())
    return Sent(method, target, fields, message.body, message)


def _sent_before(method: bytes, target: bytes, fields: Fields, body: Body) -> Sent:
    """By a client of HTTP/1.0, which sends no body with GET and the like."""
    body = body if method in (b"POST", b"PUT", b"PATCH") else Body()
    framing = body.framing() if body.data else ()
    return Sent(method, target, fields, body, Message(b"%b %b HTTP/1.0" % (method, target), (*_host, *fields), framing, body))


requests = st.builds(_sent, methods, targets, request_fields, st.none() | sized_bodies | chunked_bodies)
older_requests = st.builds(_sent_before, methods, targets, request_fields, sized_bodies)

# What framing is made of, and what parsers have been confused with.
_SPLICES = [
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r\n"),
    *(b"\0", b"\t", b" ", b"\x0b", b"\x0c", b"\x1c", b"\x7f", b"\x80", b"\x85", b"\xa0"),
    *(b":", b";", b",", b"=", b'"', b"\\", b"/", b"#", b"?", b"%", b"+", b"-", b"_", b"0", b"1", b"a", b"0x", b"%00", b"%2e", b"*"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"content-length:+5\r\n", b"Content-Length: 5, 5\r\n"),
    *(b"Content_Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n"),
    *(b"transfer-encoding:\tchunked\r\n", b"Transfer-Encoding:\r\n chunked\r\n", b"Trailer: Content-Length\r\n"),
    *(b"Host: other.example\r\n", b"Connection: close\r\n", b"Connection: Content-Length\r\n"),
    *(b"Connection: Transfer-Encoding\r\n", b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Expect: 100-continue\r\n"),
    *(b" folded\r\n", b"\tfolded\r\n", b"0\r\n\r\n", b"5\r\nabcde\r\n", b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2.0", b"chunked"),
    *(b"HTTP/1.1 100 Continue\r\n\r\n", b"GET / HTTP/1.1\r\nHost: smuggled.example\r\n\r\n"),
]  # fmt: skip


_HEAD = 300  # bytes of a message in which its head mostly is


class Change(NamedTuple):
    """At `place` (a fraction of the message, or of its head where it is negative) `dropped` bytes give way to `splice`."""

    place: float
    dropped: int
    splice: bytes

    def apply(self, data: bytes) -> bytes:
        """The changed bytes."""
        at = int(self.place * len(data)) if self.place >= 0 else int(-self.place * min(len(data), _HEAD))
        return data[:at] + self.splice + data[at + self.dropped :]


_place = st.floats(0, 1, exclude_max=True)
changes = st.lists(
    st.builds(
        Change,
        st.floats(-1, 1, exclude_min=True, exclude_max=True),
        st.sampled_from([0, 0, 0, 1, 1, 2, 5]),
        st.sampled_from([b"", *_SPLICES]) | st.binary(max_size=2),
    ),
    min_size=1,
    max_size=3,
)
cuts = st.lists(_place, max_size=5)


def cut(data: bytes, places: Sequence[float]) -> list[bytes]:
    """`data` in pieces, none of them empty."""
    ends = sorted({int(place * len(data)) for place in places} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def changed(data: bytes, edits: Sequence[Change]) -> bytes:
    """`data` with all changes made, one after the other."""
    for edit in edits:
        data = edit.apply(data)
    return data
