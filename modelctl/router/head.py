"""Heads of requests: what is kept, what is dropped, what is added (RFC 9110 7.6, docs/behavior.md).

Field lines are kept as the bytes that came. Fields that are the router's business have a rule in a table; all others pass.
Hop-by-hop fields are dropped first and ours are added after, so a client cannot name ours in Connection and lose them.
"""

from collections.abc import Callable, Iterable

from modelctl.router.identity import valid_request_id, valid_traceparent

CHUNKED = b"transfer-encoding: chunked\r\n"
PLAIN_CONNECTION = frozenset({b"keep-alive", b"close", b""})
UPGRADE_FIELDS = (b"connection: upgrade\r\n", b"upgrade: websocket\r\n")
TE_FIELDS = (b"connection: te\r\n", b"te: trailers\r\n")
_NEVER_NAMED = frozenset({b"host", b"content-length", b"x-request-id", b"traceparent", b"via"})
_MOST_CAPTURED = 256  # bytes of a recorded field


# What a head without some of its lines has in common with the whole one.
_CARRIED: tuple[str, ...] = (
    "method",
    "target",
    "version",
    "host",
    "hosts",
    "connection",
    "codings",
    "length",
    "expects",
    "upgrade",
)
_CARRIED += ("request_id", "traceparent", "type", "encoding", "forwarded", "hops", "last", "encoded", "keyed")
_CARRIED += ("protocol", "switches", "trailers", "arm")


class RequestHead:
    """What a client's head says. `lines` are the field lines to forward; the rest is what the router acts on.

    Defaults stand on the class: an ordinary request sets only what it has. From `finish` on it does not change, so requests with
    the same bytes for a head may share one.
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
    keyed = False  # it has an Idempotency-Key
    upgrade = False
    protocol = b""  # that the client would rather speak, in lower case; b"?" for several
    switches = False  # it may get it
    trailers = False  # the client reads them
    request_id = b""
    traceparent = b""
    arm = b""  # the one that the client would have answer
    type = b""
    encoding = b""
    forwarded: list[bytes] | None = None
    hops = 0
    last = False
    encoded = 0  # the codes in the path that a route must allow, as bits
    taken: list[bytes] | None = None  # the lines that showed an API key, with its name in its place
    raw = b""  # its bytes as they came, when it is remembered
    start = b""  # what is forwarded of it, up to the fields that the router adds, to an endpoint that takes the target as it is

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def finish(self) -> None:
        """All fields are there, and good: drop what is for this hop alone, and put together what is forwarded."""
        connection = self.connection
        if connection is not None or self.version != "1.1":
            connection = connection or []
            self.last = b"close" in connection or (self.version != "1.1" and b"keep-alive" not in connection)
            if not PLAIN_CONNECTION.issuperset(connection):
                self.lines = without_named(self.lines, connection)
        if self.switches:
            self.lines += UPGRADE_FIELDS
        elif self.trailers:
            self.lines += TE_FIELDS
        self.start = self.started(self.target, self.host, framing=self.framing)

    @property
    def framing(self) -> bytes:
        """The field that says where the body ends."""
        if self.codings is not None:
            return CHUNKED
        return b"" if self.length is None else b"content-length: %d\r\n" % self.length

    def started(self, target: bytes, host: bytes, *, framing: bytes) -> bytes:
        """The request line and the client's fields as they are forwarded."""
        return b"%b %b HTTP/1.1\r\nhost: %b\r\n%b%b" % (self.method, target, host, framing, b"".join(self.lines))

    def without(self, gone: list[bytes], taken: list[bytes]) -> "RequestHead":
        """The same head without the lines `gone`; `taken` is what the router knows of them."""
        made = RequestHead()
        for name in _CARRIED:
            setattr(made, name, getattr(self, name))
        made.lines = [line for line in self.lines if line not in gone]
        made.taken = taken
        made.start = made.started(made.target, made.host, framing=made.framing)
        return made

    def unit(self, name: bytes) -> bytes:
        """The value of the field `name` (lower case), or b"": the first line that has it counts."""
        if name == b"x-request-id":
            return self.request_id
        if name == b"traceparent":
            return self.traceparent
        width = len(name)
        for line in self.lines if self.taken is None else self.lines + self.taken:
            if line[width : width + 1] == b":" and line[:width].lower() == name:
                return line[width + 2 : -2]
        return b""

    def field(self, name: bytes) -> bytes | None:
        """Like `unit`, without white space behind the value, and None where there is no such field."""
        value = self.unit(name).rstrip()
        return value if value or self._has(name) else None

    def _has(self, name: bytes) -> bool:
        return any(line[: len(name) + 1].lower() == name + b":" for line in self.lines)

    def captured(self, names: tuple[bytes, ...]) -> tuple[tuple[bytes, bytes], ...]:
        """What is recorded of these fields: those that are there, bounded."""
        found = [(name, self.field(name)) for name in names]
        return tuple((name, value[:_MOST_CAPTURED]) for name, value in found if value is not None)


RequestRule = Callable[[RequestHead, bytes, bytes], None]


# llhttp leaves the white space behind a value on it. Other control bytes it has refused, so strip() takes no more than that.
def _host(head: RequestHead, name: bytes, value: bytes) -> None:
    head.host = value.rstrip()
    head.hosts += 1


def _connection(head: RequestHead, name: bytes, value: bytes) -> None:
    tokens = [token.strip().lower() for token in value.split(b",")]
    if head.connection is None:
        head.connection = tokens
    else:
        head.connection += tokens


def _length(head: RequestHead, name: bytes, value: bytes) -> None:
    value = value.rstrip()
    head.length = int(value) if value.isdigit() and len(value) <= 18 else -1


def _coding(head: RequestHead, name: bytes, value: bytes) -> None:
    head.codings = (head.codings or []) + [value.strip()]


def _expect(head: RequestHead, name: bytes, value: bytes) -> None:
    head.expects = head.expects or value.rstrip().lower() == b"100-continue"


def _upgrade(head: RequestHead, name: bytes, value: bytes) -> None:
    head.protocol = b"?" if head.upgrade else value.lower()
    head.upgrade = True


def _te(head: RequestHead, name: bytes, value: bytes) -> None:
    head.trailers = head.trailers or b"trailers" in [coding.strip() for coding in value.lower().split(b",")]


def _request_id(head: RequestHead, name: bytes, value: bytes) -> None:
    value = value.rstrip()
    if not head.request_id and valid_request_id(value):
        head.request_id = value


def _traceparent(head: RequestHead, name: bytes, value: bytes) -> None:
    value = value.rstrip()
    if not head.traceparent and valid_traceparent(value):
        head.traceparent = value


def _content_type(head: RequestHead, name: bytes, value: bytes) -> None:
    head.type = value
    head.lines.append(name + b": " + value + b"\r\n")


def _content_encoding(head: RequestHead, name: bytes, value: bytes) -> None:
    head.encoding = value
    head.lines.append(name + b": " + value + b"\r\n")


def _idempotency_key(head: RequestHead, name: bytes, value: bytes) -> None:
    head.keyed = bool(value)
    head.lines.append(name + b": " + value + b"\r\n")


def _via(head: RequestHead, name: bytes, value: bytes) -> None:
    head.hops += value.count(b"modelctl")
    head.lines.append(name + b": " + value + b"\r\n")


def _forwarded(head: RequestHead, name: bytes, value: bytes) -> None:
    if head.forwarded is None:
        head.forwarded = []
    head.forwarded.append(name + b": " + value + b"\r\n")


def _arm(head: RequestHead, name: bytes, value: bytes) -> None:
    head.arm = head.arm or value.rstrip()


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
    b"idempotency-key": _idempotency_key,
    b"via": _via,
    b"x-forwarded-for": _forwarded,
    b"x-forwarded-proto": _forwarded,
    b"x-forwarded-host": _forwarded,
    b"forwarded": _forwarded,
    b"keep-alive": _drop,
    b"proxy-connection": _drop,
    b"proxy-authenticate": _drop,
    b"proxy-authorization": _drop,
    b"te": _te,
    b"trailer": _drop,
    b"x-shadow": _drop,
    b"modelctl-arm": _arm,
    b"modelctl-error": _drop,
    b"x-modelctl-arm": _drop,
    b"x-modelctl-error": _drop,
}


def without_named(lines: Iterable[bytes], tokens: Iterable[bytes]) -> list[bytes]:
    """The lines whose field is not named in a Connection field. Host, Content-Length and our own cannot be named away."""
    named = {token for token in tokens if token} - _NEVER_NAMED
    return [line for line in lines if line[: line.index(b":")].lower() not in named]
