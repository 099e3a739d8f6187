"""Heads of answers: what is kept, what is dropped (RFC 9110 7.6, docs/behavior.md)."""

from http import HTTPStatus
from typing import Final

from modelctl.router.events import is_event_stream
from modelctl.router.head import PLAIN_CONNECTION, without_named

MAX_HEAD: Final = 65_536
_LINE_ENDS = b"\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def status_line(status: int) -> bytes:
    """The status line of an answer; statuses without a standard phrase have none (RFC 9112 4)."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


BODYLESS = (204, 304)
PLAIN_CODINGS = (b"", b"identity")

# What the router does with a field of an answer. What has the KEEP bit is forwarded.
KEEP: Final = 1
DROP: Final = 0
LENGTH: Final = 2
CODING: Final = 4
CONNECTION: Final = 6
TYPE: Final = 3
ENCODING: Final = 5
EVENTS: Final = 7  # the type of a stream of events

# The router's own fields are dropped too: only the router may say which arm answered.
_ANSWER_USES = {
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"connection": CONNECTION,
    b"content-type": TYPE,
    b"content-encoding": ENCODING,
    b"keep-alive": DROP,
    b"proxy-connection": DROP,
    b"proxy-authenticate": DROP,
    b"te": DROP,
    b"trailer": DROP,
    b"upgrade": DROP,
    b"modelctl-arm": DROP,
    b"modelctl-error": DROP,
    b"x-modelctl-arm": DROP,
    b"x-modelctl-error": DROP,
    b"x-request-id": DROP,
}


class AnswerField:
    """One field line of an answer: what to do with it, and its value."""

    __slots__ = ("use", "value")

    def __init__(self, use: int, value: bytes) -> None:
        self.use = use
        self.value = value


# Servers send the same lines with every answer. Bounded in number and in the length of each; cleared when full.
_answer_fields: dict[bytes, AnswerField] = {}
_MAX_ANSWER_FIELDS = 2_048
_MAX_REMEMBERED = 256


def answer_field(line: bytes) -> AnswerField:
    """What `line`, without its CR LF, is to the router."""
    known = _answer_fields.get(line)
    if known is not None:
        return known
    name, _, value = line.partition(b":")
    value = value.strip(b" \t")
    use = _ANSWER_USES.get(name.lower(), KEEP)
    if use == TYPE and is_event_stream(value):
        use = EVENTS
    field = AnswerField(use, value)
    if len(line) <= _MAX_REMEMBERED:
        if len(_answer_fields) >= _MAX_ANSWER_FIELDS:
            _answer_fields.clear()
        _answer_fields[line] = field
    return field


class UnknownCodingError(Exception):
    """An answer in a transfer coding other than chunked: without it, the body would not be what it says (RFC 9112 6.1)."""


class VersionError(Exception):
    """Ends the parsing of an answer that is of another protocol or version: llhttp reads RTSP, ICE, HTTP/0.9 and 2.0 as well."""


class HeadTooLargeError(Exception):
    """Ends the parsing of an answer whose head is over the limit."""


def whole_head(raw: bytes) -> tuple[bytes, int]:
    """`raw` from its status line on, and where its head ends. Raises what ends the parsing.

    llhttp skips every CR and LF before an answer; only whole empty lines are harmless there.
    """
    if raw[:7] != b"HTTP/1.":
        rest = raw.lstrip(_LINE_ENDS)
        if not rest.startswith(b"HTTP/1.") or raw[: len(raw) - len(rest)].replace(_LINE_ENDS, b""):
            raise VersionError
        raw = rest
    end = raw.find(b"\r\n\r\n")
    if end > MAX_HEAD:
        raise HeadTooLargeError
    return raw, end


class AnswerHead:
    """What the head of an answer says. `start` is what is forwarded of it, up to the fields that the router adds.

    `length` is the value of Content-Length as it came, or b"", `size` its number or -1. `last` says that no further answer will
    come on this connection, `events` that the body is a stream of events, `until_closed` that a body, if there is one, ends where
    the connection does (RFC 9112 6.3). It does not change once read, so answers with the same bytes for a head may share one.
    """

    __slots__ = (
        *("coding", "connection", "encoding", "events", "last", "length", "lines", "raw", "size", "start", "status", "type"),
        "until_closed",
    )

    def __init__(self, status: int, fields: list[bytes], *, last: bool) -> None:
        """`fields` are lines without CR LF, the status line first. llhttp has checked them: one field a line, no folding."""
        self.status = status
        self.last = last
        self.raw = b""
        self.lines: list[bytes] = []
        self.length = self.coding = self.connection = self.type = self.encoding = b""
        self.events = False
        self._read(fields)
        self.size = int(self.length) if self.length else -1
        self.start = self._started()
        self.until_closed = not (self.length or self.coding or status in BODYLESS)

    def _read(self, fields: list[bytes]) -> None:
        kept = self.lines
        for number in range(1, len(fields)):
            line = fields[number]
            field = answer_field(line)
            use = field.use
            if use & KEEP:
                kept.append(line)
            if use == LENGTH:
                self.length = field.value
            elif use == TYPE:
                self.type = field.value
            elif use == EVENTS:
                self.type = field.value
                self.events = True
            elif use == ENCODING:
                self.encoding = field.value
            elif use == CONNECTION:
                self.connection = field.value if not self.connection else self.connection + b"," + field.value
            elif use == CODING:
                if self.coding or field.value.lower() != b"chunked":
                    raise UnknownCodingError
                self.coding = field.value

    def _started(self) -> bytes:
        lines = self.lines
        if self.connection and self.connection not in PLAIN_CONNECTION:
            lines = without_named(lines, [token.strip() for token in self.connection.lower().split(b",")])
        ends = b"content-length: %b\r\n" % self.length if self.length and self.status not in (101, 204) else b""
        return b"".join((status_line(self.status), *(line + b"\r\n" for line in lines), ends))


NO_ANSWER = AnswerHead(0, [b""], last=True)
"""What stands for the head before it is there."""
