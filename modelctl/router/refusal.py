"""The answers the router makes itself. Each carries `modelctl-error: <code>`, so that nobody takes it for the model's."""

from enum import Enum
from http import HTTPStatus

import msgspec


class Refusal(Enum):
    """Code, status and what to do about it. A refusal that says `closes` ends the client's connection: its framing is lost."""

    BAD_REQUEST = ("bad-request", 400, True, "The request is not valid HTTP/1.1, so it was not forwarded.")
    BAD_HOST = ("bad-host", 400, True, "HTTP/1.1 needs exactly one valid Host field.")
    BAD_TARGET = ("bad-target", 400, True, "The request target holds bytes or a form that is not allowed.")
    BAD_PATH = ("bad-path", 400, True, "The path holds dot segments, encoded separators or a malformed percent code.")
    BAD_FRAMING = ("bad-framing", 400, True, "The length of the request body is ambiguous.")
    VERSION = ("http-version", 505, True, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
    METHOD = ("method-not-allowed", 405, True, "CONNECT and TRACE are not forwarded.")
    CODING = ("transfer-coding", 501, True, "The only transfer coding understood is chunked.")
    NO_ROUTE = ("no-route", 404, False, "No route has this host and path. `modelctl route list` shows the routes.")
    NO_TABLE = ("no-table", 503, False, "This router has not received a routing table yet.")
    CONNECT = ("connect-failed", 502, False, "No connection to the model server. `modelctl doctor` shows which.")
    RESET = ("upstream-reset", 502, False, "The model server closed the connection before it answered.")
    INVALID = ("upstream-invalid", 502, False, "The model server answered with something that is not HTTP.")
    TIMEOUT = ("upstream-timeout", 504, False, "The model server did not answer in time.")
    OVERLOAD = ("overload", 503, False, "The model server has too many requests in flight. Try again.")
    CONNECTIONS = ("too-many-connections", 503, True, "This router has too many connections. Try again.")
    BODY_TOO_LARGE = ("body-too-large", 413, True, "The request body is larger than this router accepts.")
    HEAD_TOO_LARGE = ("head-too-large", 431, True, "The request line and fields are larger than this router accepts.")
    SLOW_HEAD = ("request-timeout", 408, True, "The request did not arrive in time.")
    LOOP = ("loop", 508, False, "The request has passed this kind of router too often: a backend points back at a router.")

    def __init__(self, code: str, status: int, closes: bool, detail: str) -> None:
        self.code = code
        self.status = status
        self.closes = closes
        self.detail = detail


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
    if close:
        lines.append("connection: close")
    return "\r\n".join(lines).encode() + b"\r\n", body if body_allowed else b""


def refusal_answer(refusal: Refusal, *, close: bool, head_only: bool, request_id: bytes) -> bytes:
    """The whole response. `head_only` leaves the body away, as for HEAD (RFC 9110 9.3.2)."""
    head, body = _render(refusal, close=close, body_allowed=not head_only)
    identity = b"x-request-id: " + request_id + b"\r\n" if request_id else b""
    return head + identity + b"\r\n" + body
