"""One call of the API: what a handler gets, and how its request is read and its answer written."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from modelctl.controlplane.api.idempotency import digest_of, key_of, once
from modelctl.controlplane.api.problems import Refused, problem_response
from modelctl.controlplane.backfill.replayer import Replayer
from modelctl.controlplane.fleet import Command, Convergence, Fleet
from modelctl.controlplane.metrics.board import Board
from modelctl.controlplane.operations.change import Author, Change
from modelctl.controlplane.pulse import Pulse
from modelctl.endpoint import Reach
from modelctl.errors import InvalidInput, ModelctlError

P = ParamSpec("P")
T = TypeVar("T")

MAX_BODY = 1024 * 1024
MAX_REASON = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """What handlers work with: the store, the routers and what they counted, time (Unix microseconds), chance (32 hex digits).

    `reach` is where backends may be, `replayer` what sends recorded requests again, `pulse` what says that something changed.
    """

    engine: Engine
    fleet: Fleet
    board: Board
    clock: Callable[[], int]
    chance: Callable[[], str]
    reach: Reach
    replayer: Replayer
    pulse: Pulse


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, decoded. `query` and `body` are of the types the call declares; `at` is when it arrived."""

    plane: Plane
    request: Request
    at: int
    query: Any
    body: Any

    async def run(self, operation: Callable[Concatenate[Engine, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        """The operation, on a thread: the database may take its time, the event loop may not."""
        return await run_in_threadpool(operation, self.plane.engine, *arguments, **options)

    async def conclude(self, change: Change[Any]) -> Convergence:
        """Hands the change's table to the routers and waits for them."""
        self.plane.fleet.publish(change.table)
        command = Command(version=change.table.version, since=self.at, bereft=change.bereft)
        return await self.plane.fleet.converged(command)

    def name(self) -> str:
        """The name in the path."""
        return str(self.request.path_params["name"])

    def author(self) -> Author:
        """Who asks: the body's `actor` and `reason`, else the header `modelctl-actor`."""
        actor = getattr(self.body, "actor", "") or self.request.headers.get("modelctl-actor", "") or "anonymous"
        reason = getattr(self.body, "reason", "")
        if len(actor) > 200 or len(reason) > MAX_REASON:
            raise InvalidInput(f"an actor may have 200 characters and a reason {MAX_REASON}")
        return Author(actor=actor, reason=reason, at=self.at)

    def revision(self) -> int | None:
        """The revision that `If-Match` names; None when it is absent or `*`. Raises InvalidInput."""
        text = self.request.headers.get("if-match", "*").strip()
        if text == "*":
            return None
        digits = text.removeprefix("W/").strip('"')
        if not digits.isdecimal() or len(digits) > 18:
            raise InvalidInput(f'If-Match must name one revision, such as "3", not {text}')
        return int(digits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One line of the API: the method and path, who handles it, and the types of its query, body and answer.

    `answer` None: the handler makes the whole response. A body type that has only defaults may be left out of the request.
    """

    method: str
    path: str
    handle: Callable[[Call], Awaitable[Any]]
    summary: str
    answer: Any = None
    query: Any = None
    body: Any = None
    status: int = 200

    def serve(self, plane: Plane) -> Callable[[Request], Awaitable[Response]]:
        """The Starlette endpoint."""

        async def endpoint(request: Request) -> Response:
            try:
                return await self._answer(plane, request)
            except (ModelctlError, Refused) as error:
                return problem_response(error)

        return endpoint

    async def _answer(self, plane: Plane, request: Request) -> Response:
        """Once for each Idempotency-Key, where a command carries one."""
        at = plane.clock()
        if self.body is None:
            return await self._respond(plane, request, at=at)
        content = await _read(request)
        key = key_of(request) if self.method == "POST" else ""
        if not key:
            return await self._respond(plane, request, at=at, content=content)

        async def answer() -> Response:
            try:
                return await self._respond(plane, request, at=at, content=content)
            except (ModelctlError, Refused) as error:
                return problem_response(error)

        return await once(plane.engine, key, digest=digest_of(request, content), at=at, answer=answer)

    async def _respond(self, plane: Plane, request: Request, *, at: int, content: bytes = b"") -> Response:
        query = None if self.query is None else _query(request, self.query)
        body = None if self.body is None else decode_body(content, self.body)
        answer = await self.handle(Call(plane=plane, request=request, at=at, query=query, body=body))
        if isinstance(answer, Response):
            return answer
        revision = getattr(answer, "revision", None)
        headers = {} if revision is None else {"etag": f'"{revision}"'}
        return Response(msgspec.json.encode(answer), self.status, headers, media_type="application/json")


def decode_body(content: bytes, type_: Any) -> Any:  # noqa: ANN401 the type says what comes back
    """The body as `type_`. Raises Refused (400) for what is no JSON, InvalidInput for JSON of another shape."""
    try:
        return msgspec.json.decode(content or b"{}", type=type_)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the request body is not valid: {_words(error)}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(400, f"the request body is not JSON: {error}") from None


def _query(request: Request, type_: Any) -> Any:  # noqa: ANN401 the type says what comes back
    given: Mapping[str, str] = {name: value for name, value in request.query_params.items() if value}
    try:
        return msgspec.convert(given, type=type_, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidInput(f"the query of {request.url.path} is not valid: {_words(error)}") from None


def _words(error: msgspec.ValidationError) -> str:
    """The words of our own check when one refused the value, else msgspec's, which name the place."""
    return str(error.__cause__ if isinstance(error.__cause__, InvalidInput) else error)


async def _read(request: Request) -> bytes:
    """The body, up to MAX_BODY. A form or text is refused: a web page of another site could send those."""
    length = request.headers.get("content-length", "0")
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/json" and (content_type or length not in ("", "0") or "transfer-encoding" in request.headers):
        raise Refused(415, f"send JSON with content-type application/json, not {content_type or 'without a content type'}")
    if length.isdecimal() and int(length) > MAX_BODY:
        raise _too_large()
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY:
            raise _too_large()
    return bytes(content)


def _too_large() -> Refused:
    return Refused(413, f"the request body is larger than {MAX_BODY} bytes: send less at once")
