"""One request of the control plane's own to a backend, and its answer in the router's words."""

import asyncio
import ssl
from time import monotonic

import httpx
import msgspec

from modelctl import evidence
from modelctl.controlplane.reaching import tls_name, transport
from modelctl.endpoint import parse_endpoint
from modelctl.evidence import Answer
from modelctl.traffic import Backend

LONGEST = 60.0


class Outgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A request. Of its answer's body `keep` bytes are kept."""

    method: str
    url: str
    content: bytes | None
    headers: dict[str, str]
    keep: int


def url_at(backend: Backend, *, path: str, target: str) -> str:
    """Where a request for `target` goes: the path of the backend's first endpoint takes the place of the route's (`path`)."""
    endpoint = parse_endpoint(backend.endpoints[0])
    if endpoint.path:
        target = endpoint.path + (target if path == "/" else target.removeprefix(path))
    scheme = "http" if endpoint.socket else endpoint.scheme
    return f"{scheme}://{endpoint.authority}{target}"


def client_of(backend: Backend, *, connections: int = 1) -> httpx.AsyncClient:
    """What sends to the backend. Raises InvalidInput when a file of its TLS cannot be used here."""
    limits = httpx.Limits(max_connections=connections)
    timeout = httpx.Timeout(_patience(backend), connect=backend.connect_timeout_ms / 1000)
    way = transport(backend)
    return httpx.AsyncClient(transport=way, timeout=timeout, limits=limits, follow_redirects=False, trust_env=False)


async def answer_of(client: httpx.AsyncClient, backend: Backend, *, outgoing: Outgoing) -> Answer:
    """What the backend answers. Never raises for what the backend does."""
    started = monotonic()
    status, failure = 0, ""
    head: httpx.Headers = httpx.Headers()
    body = bytearray()
    size = first_byte = 0
    try:
        async with (
            asyncio.timeout(_patience(backend) + backend.connect_timeout_ms / 1000),
            client.stream(
                outgoing.method,
                outgoing.url,
                content=outgoing.content,
                headers=outgoing.headers,
                extensions=tls_name(backend),
            ) as response,
        ):
            first_byte = _elapsed(started)
            status, head = response.status_code, response.headers
            async for chunk in response.aiter_raw():
                size += len(chunk)
                body += chunk[: max(0, outgoing.keep - len(body))]
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # OSError: anyio passes on the SSLError of a read
        failure = _failure(error, answering=status > 0)
    content_type, encoding = (head.get(name, "").encode("latin-1") for name in ("content-type", "content-encoding"))
    return Answer(backend.name, status, failure, _elapsed(started), first_byte, content_type, encoding, bytes(body), size)


def _patience(backend: Backend) -> float:
    return min(backend.response_timeout_ms / 1000, LONGEST)


def _failure(error: Exception, *, answering: bool) -> str:
    """The router's word for what went wrong."""
    if isinstance(error, ssl.SSLError) or isinstance(_cause(error), ssl.SSLError):
        return evidence.TLS
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return evidence.CONNECT
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return evidence.TIMEOUT
    if answering:
        return evidence.TRUNCATED
    if isinstance(error, httpx.RemoteProtocolError) and "disconnected" not in str(error):
        return evidence.INVALID
    return evidence.RESET


def _cause(error: BaseException) -> BaseException:
    """What was raised first, below the libraries' own words for it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _elapsed(started: float) -> int:
    return int((monotonic() - started) * 1_000_000)
