"""One sample sent to a backend, and what its kind makes of the answer. Nothing is recorded."""

import msgspec
from msgspec import UNSET, UnsetType

from modelctl.controlplane.reaching import root
from modelctl.controlplane.sending import Outgoing, answer_of, client_of
from modelctl.endpoint import parse_endpoint
from modelctl.errors import InvalidInput
from modelctl.evidence import Answer
from modelctl.kinds import Value, kind_named, text_of
from modelctl.kinds.answer_body import beginning
from modelctl.traffic import Backend

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
    outgoing = Outgoing(
        method=sample.method, url=_url(backend, sample), content=_content(sample), headers=_headers(sample), keep=KEPT_BYTES
    )
    async with client_of(backend) as client:
        return await answer_of(client, backend, outgoing=outgoing)


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
