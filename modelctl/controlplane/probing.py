"""One sample sent to a backend, and what its kind makes of the answer. Nothing is recorded."""

import asyncio
import ssl
from time import monotonic

import httpx
import msgspec
from msgspec import UNSET, UnsetType

from modelctl import evidence
from modelctl.controlplane.reaching import root, tls_name, transport
from modelctl.endpoint import parse_endpoint
from modelctl.errors import InvalidInput
from modelctl.evidence import Answer
from modelctl.kinds import Value, kind_named, text_of
from modelctl.kinds.answer_body import beginning
from modelctl.traffic import Backend

LONGEST = 60.0
KEPT_BYTES = 1024 * 1024
PREVIEW = 2_000
METHODS = ("GET", "POST", "PUT")


class Sample(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request: `body` as JSON, or `text` as it is. `path` goes behind the path of the backend's first URL."""

    body: msgspec.Raw | UnsetType = UNSET
    text: str = ""
    path: str = ""
    method: str = "POST"

    def __post_init__(self) -> None:
        if self.body is not UNSET and self.text:
            raise InvalidInput("a sample has either a JSON body or a text, not both")
        if self.method not in METHODS:
            raise InvalidInput(f"the method of a sample is one of {', '.join(METHODS)}, not {self.method!r}")
        if self.path and not (
            self.path.startswith("/") and self.path.isascii() and self.path.isprintable() and " " not in self.path
        ):
            raise InvalidInput(f"the path {self.path!r} of a sample must start with '/' and hold visible ASCII only")


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """What the backend answered. `status` is 0 without an answer, then `failure` says why; `problem` why there is no prediction."""

    status: int
    outcome: str
    failure: str
    latency_ms: float
    prediction: str | None
    values: tuple[Value, ...]
    problem: str
    body_preview: str


async def probe(backend: Backend, sample: Sample) -> Trial:
    """Sends the sample to the backend's first URL. Never raises for what the backend does.

    Raises InvalidInput when the files that its TLS needs cannot be read here.
    """
    answer = await _answer(backend, sample)
    kind = kind_named(backend.kind)
    extraction = kind.extract(answer, backend)
    return Trial(
        status=answer.status,
        outcome=kind.outcome(answer).value,
        failure=answer.failure,
        latency_ms=answer.latency / 1000,
        prediction=text_of(extraction.values[0]) if extraction.values else None,
        values=extraction.values,
        problem=extraction.problem,
        body_preview=beginning(answer, PREVIEW).decode("utf-8", "replace"),
    )


async def _answer(backend: Backend, sample: Sample) -> Answer:
    response_timeout = min(backend.response_timeout_ms / 1000, LONGEST)
    timeout = httpx.Timeout(response_timeout, connect=backend.connect_timeout_ms / 1000)
    way = transport(backend)
    started = monotonic()
    status, failure = 0, ""
    head: httpx.Headers = httpx.Headers()
    body = bytearray()
    size = first_byte = 0
    try:
        async with (
            asyncio.timeout(response_timeout + backend.connect_timeout_ms / 1000),
            httpx.AsyncClient(transport=way, timeout=timeout, follow_redirects=False, trust_env=False) as client,
            client.stream(
                sample.method,
                _url(backend, sample),
                content=_content(sample),
                headers=_headers(sample),
                extensions=tls_name(backend),
            ) as response,
        ):
            first_byte = _elapsed(started)
            status, head = response.status_code, response.headers
            async for chunk in response.aiter_raw():
                size += len(chunk)
                body += chunk[: KEPT_BYTES - len(body)]
    except (OSError, httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # OSError: anyio passes on the SSLError of a read
        failure = _failure(error, answering=status > 0)
    content_type, encoding = (head.get(name, "").encode("latin-1") for name in ("content-type", "content-encoding"))
    return Answer(backend.name, status, failure, _elapsed(started), first_byte, content_type, encoding, bytes(body), size)


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


def _url(backend: Backend, sample: Sample) -> str:
    url = root(backend)
    return f"{url}{sample.path}" if sample.path or parse_endpoint(backend.endpoints[0]).path else f"{url}/"


def _content(sample: Sample) -> bytes | None:
    if sample.method == "GET":
        return None
    return sample.text.encode() if sample.body is UNSET else bytes(sample.body)


def _headers(sample: Sample) -> dict[str, str]:
    content_type = "text/plain; charset=utf-8" if sample.text else "application/json"
    return {"accept": "*/*", "accept-encoding": "gzip, deflate", "content-type": content_type, "user-agent": "modelctl-test"}


def _elapsed(started: float) -> int:
    return int((monotonic() - started) * 1_000_000)
