"""The answers the router makes itself. Each carries `modelctl-error: <code>`, so that nobody takes it for the model's."""

from enum import Enum
from http import HTTPStatus
from typing import NamedTuple

import msgspec

from modelctl import evidence


class Own(NamedTuple):
    """Code, status and what to do about it. An answer that says `closes` ends the client's connection: its framing is lost."""

    code: str
    status: int
    closes: bool
    detail: str


class Refusal(Enum):
    """Every answer of the router's own."""

    BAD_REQUEST = Own("bad-request", 400, True, "The request is not valid HTTP/1.1, so it was not forwarded.")
    BAD_HOST = Own("bad-host", 400, True, "HTTP/1.1 needs exactly one valid Host field.")
    BAD_TARGET = Own("bad-target", 400, True, "The request target holds bytes or a form that is not allowed.")
    BAD_PATH = Own("bad-path", 400, True, "The path holds dot segments, encoded separators or a malformed percent code.")
    BAD_FRAMING = Own("bad-framing", 400, True, "The length of the request body is ambiguous.")
    VERSION = Own("http-version", 505, True, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    METHOD = Own("method-not-allowed", 405, True, "CONNECT and TRACE are not forwarded.")
    CODING = Own("transfer-coding", 501, True, "The only transfer coding understood is chunked.")
    NO_ROUTE = Own("no-route", 404, False, "No route has this host and path. `modelctl route list` shows the routes.")
    NO_ARM = Own("no-arm", 404, False, "No arm of this route has the name in modelctl-arm. `modelctl status` shows the arms.")
    NO_TABLE = Own("no-table", 503, False, "This router has not received a routing table yet.")
    CONNECT = Own(
        "connect-failed", 502, False, "No connection to the model server. `modelctl backend test` and the router's log say why."
    )
    TLS = Own("tls-failed", 502, False, "The model server's certificate is not valid for it, or it does not speak TLS.")
    RESET = Own("upstream-reset", 502, False, "The model server closed the connection before it answered.")
    INVALID = Own("upstream-invalid", 502, False, "The model server answered with something that is not HTTP.")
    TIMEOUT = Own("upstream-timeout", 504, False, "The model server did not answer in time.")
    OVERLOAD = Own("overload", 503, False, "The model server has too many requests in flight. Try again.")
    OVERLOADED = Own("overloaded", 503, False, "This router is short of memory or has too many requests in flight. Try again.")
    CONNECTIONS = Own("too-many-connections", 503, True, "This router has too many connections. Try again.")
    BODY_TOO_LARGE = Own("body-too-large", 413, True, "The request body is larger than this router accepts.")
    HEAD_TOO_LARGE = Own("head-too-large", 431, True, "The request line and fields are larger than this router accepts.")
    SLOW_HEAD = Own("request-timeout", 408, True, "The request did not arrive in time.")
    KEY_REQUIRED = Own("key-required", 401, False, "This route needs an API key: `Authorization: Bearer KEY` or `X-Api-Key: KEY`.")
    DENIED = Own("denied", 403, False, "This path is closed to clients.")
    RATE_LIMITED = Own("rate-limited", 429, False, "This client has used up its ration. Try again after the time in Retry-After.")
    LOOP = Own("loop", 508, False, "The request has passed this kind of router too often: a backend points back at a router.")

    @property
    def code(self) -> str:
        """The value of `modelctl-error`."""
        return self.value.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value.status

    @property
    def closes(self) -> bool:
        """Whether the connection ends with it."""
        return self.value.closes

    @property
    def detail(self) -> str:
        """A sentence for the person who sees it."""
        return self.value.detail


# What a client is told of evidence's failures; of any other, that the answer was invalid.
FAILURES = {
    evidence.CONNECT: Refusal.CONNECT,
    evidence.TLS: Refusal.TLS,
    evidence.RESET: Refusal.RESET,
    evidence.INVALID: Refusal.INVALID,
    evidence.TIMEOUT: Refusal.TIMEOUT,
    evidence.OVERLOAD: Refusal.OVERLOAD,
}


def _render(refusal: Refusal, *, close: bool, body_allowed: bool) -> tuple[bytes, bytes]:
    problem = {
        "type": f"urn:modelctl:error:{refusal.code}",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "detail": refusal.detail,
    }
    body = msgspec.json.encode(problem)
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "content-type: application/problem+json",
        f"content-length: {len(body)}",
        f"modelctl-error: {refusal.code}",
    ]
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        lines.append("retry-after: 1")
    if refusal.status == HTTPStatus.UNAUTHORIZED:  # RFC 9110 11.6.1: always
        lines.append('www-authenticate: Bearer realm="modelctl"')
    if close:
        lines.append("connection: close")
    return "\r\n".join(lines).encode() + b"\r\n", body if body_allowed else b""


def refusal_answer(refusal: Refusal, *, close: bool, head_only: bool, request_id: bytes, notes: bytes = b"") -> bytes:
    """The whole response. `head_only` leaves the body away, as for HEAD (RFC 9110 9.3.2); `notes` are more field lines.

    A 503 has none: its Retry-After may be earlier than the time in a RateLimit field, and the two must not contradict each other.
    """
    head, body = _render(refusal, close=close, body_allowed=not head_only)
    identity = b"x-request-id: " + request_id + b"\r\n" if request_id else b""
    if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
        notes = b""
    return head + notes + identity + b"\r\n" + body
