"""Heads of requests and answers: what is kept, what is dropped, what is added (RFC 9110 7.6, docs/behavior.md).

Field lines are kept as the bytes that came. Fields that are the router's business have a rule in a table; all others pass.
Hop-by-hop fields are dropped first and ours are added after, so a client cannot name ours in Connection and lose them.
"""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Final

from modelctl.router.identity import valid_request_id, valid_traceparent

_NEVER_NAMED = frozenset({b"host", b"content-length", b"x-request-id", b"traceparent", b"via"})


class RequestHead:
    """What a client's head says. `lines` are the field lines to forward; the rest is what the router acts on.

    Defaults stand on the class: an ordinary request sets only what it has.
    """

    method = b""
    target = b""
    version = "1.1"
    host = b""
    hosts = 0
    connection: list[bytes] | None = None
    codings: list[bytes] | None = None
    length: int | None = None
    expects = False
    upgrade = False
    request_id = b""
    traceparent = b""
    type = b""
    encoding = b""
    forwarded: list[bytes] | None = None
    hops = 0
    last = False

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def unit(self, name: bytes) -> bytes:
        """The value of the field `name` (lower case), or b"": the first line that has it counts."""
        if name == b"x-request-id":
            return self.request_id
        width = len(name)
        for line in self.lines:
            if line[width : width + 1] == b":" and line[:width].lower() == name:
                return line[width + 2 : -2]
        return b""


RequestRule = Callable[[RequestHead, bytes, bytes], None]


def _host(head: RequestHead, name: bytes, value: bytes) -> None:
    head.host = value
    head.hosts += 1


def _connection(head: RequestHead, name: bytes, value: bytes) -> None:
    tokens = [token.strip().lower() for token in value.split(b",")]
    head.connection = (head.connection or []) + tokens


def _length(head: RequestHead, name: bytes, value: bytes) -> None:
    head.length = int(value) if value.isdigit() and len(value) <= 18 else -1


def _coding(head: RequestHead, name: bytes, value: bytes) -> None:
    head.codings = (head.codings or []) + [value.strip()]


def _expect(head: RequestHead, name: bytes, value: bytes) -> None:
    head.expects = head.expects or value.lower() == b"100-continue"


def _upgrade(head: RequestHead, name: bytes, value: bytes) -> None:
    head.upgrade = True


def _request_id(head: RequestHead, name: bytes, value: bytes) -> None:
    if not head.request_id and valid_request_id(value):
        head.request_id = value


def _traceparent(head: RequestHead, name: bytes, value: bytes) -> None:
    if not head.traceparent and valid_traceparent(value):
        head.traceparent = value


def _content_type(head: RequestHead, name: bytes, value: bytes) -> None:
    head.type = value
    head.lines.append(name + b": " + value + b"\r\n")


def _content_encoding(head: RequestHead, name: bytes, value: bytes) -> None:
    head.encoding = value
    head.lines.append(name + b": " + value + b"\r\n")


def _via(head: RequestHead, name: bytes, value: bytes) -> None:
    head.hops += value.count(b"modelctl")
    head.lines.append(name + b": " + value + b"\r\n")


def _forwarded(head: RequestHead, name: bytes, value: bytes) -> None:
    head.forwarded = (head.forwarded or []) + [name + b": " + value + b"\r\n"]


def _drop(head: RequestHead, name: bytes, value: bytes) -> None:
    pass


REQUEST_RULES: dict[bytes, RequestRule] = {
    b"host": _host,
    b"connection": _connection,
    b"content-length": _length,
    b"transfer-encoding": _coding,
    b"expect": _expect,
    b"upgrade": _upgrade,
    b"x-request-id": _request_id,
    b"traceparent": _traceparent,
    b"content-type": _content_type,
    b"content-encoding": _content_encoding,
    b"via": _via,
    b"x-forwarded-for": _forwarded,
    b"x-forwarded-proto": _forwarded,
    b"x-forwarded-host": _forwarded,
    b"forwarded": _forwarded,
    b"keep-alive": _drop,
    b"proxy-connection": _drop,
    b"proxy-authenticate": _drop,
    b"proxy-authorization": _drop,
    b"te": _drop,
    b"trailer": _drop,
    b"x-shadow": _drop,
    b"modelctl-arm": _drop,
    b"modelctl-error": _drop,
    b"x-modelctl-arm": _drop,
    b"x-modelctl-error": _drop,
}


def without_named(lines: Iterable[bytes], tokens: Iterable[bytes]) -> list[bytes]:
    """The lines whose field is not named in a Connection field. Host, Content-Length and our own cannot be named away."""
    named = {token for token in tokens if token} - _NEVER_NAMED
    return [line for line in lines if line[: line.index(b":")].lower() not in named]


STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


def status_line(status: int) -> bytes:
    """The status line of an answer; statuses without a standard phrase have none (RFC 9112 4)."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


# What the router does with a field of an answer. What has the KEEP bit is forwarded.
KEEP: Final = 1
DROP: Final = 0
LENGTH: Final = 2
CODING: Final = 4
CONNECTION: Final = 6
TYPE: Final = 3
ENCODING: Final = 5

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
    field = AnswerField(_ANSWER_USES.get(name.lower(), KEEP), value.strip(b" \t"))
    if len(line) <= _MAX_REMEMBERED:
        if len(_answer_fields) >= _MAX_ANSWER_FIELDS:
            _answer_fields.clear()
        _answer_fields[line] = field
    return field
