"""`Idempotency-Key`: a command that is sent again, because nobody knows whether it arrived, is carried out once.

The first request with a key is answered and its answer kept for a day; the same again gets that answer, another request under the
same key is refused, and one that comes while the first is under way is told so. What failed in the control plane itself is
forgotten: it changed nothing and may be tried again.
"""

import re
from collections.abc import Awaitable, Callable
from hashlib import sha256

from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from modelctl.controlplane.api.problems import problem_response
from modelctl.errors import Conflict, InvalidInput, UnderWay
from modelctl.store import answers
from modelctl.store.answers import Answer
from modelctl.store.engine import reading, writing

HEADER = "idempotency-key"
KEPT = 86_400_000_000
"""Microseconds."""
UNDER_WAY = 120_000_000
_AT_ONCE = 1_000
_KEY = re.compile(r"[!-~]{1,200}")
_KEPT_HEADERS = ("content-type", "etag")
REPLAYED = "idempotency-replayed"


def key_of(request: Request) -> str:
    """The key a command carries; empty without one. Raises InvalidInput."""
    key = request.headers.get(HEADER, "")
    if key and not _KEY.fullmatch(key):
        raise InvalidInput("an Idempotency-Key has 1 to 200 visible ASCII characters: a new UUID for each command does")
    return key


def digest_of(request: Request, content: bytes) -> str:
    """Equal for requests that ask for the same."""
    parts = (request.method, request.url.path, request.url.query, request.headers.get("if-match", ""))
    return sha256("\0".join(parts).encode() + b"\0" + content).hexdigest()


async def once(engine: Engine, key: str, *, digest: str, at: int, answer: Callable[[], Awaitable[Response]]) -> Response:
    """The answer, given now or when the key came first. Raises InvalidInput and Conflict."""
    kept = await run_in_threadpool(_begin, engine, key, digest=digest, at=at)
    if kept is not None:
        return _replayed(kept, digest=digest, at=at)
    try:
        given = await answer()
    except Exception:
        await run_in_threadpool(_forget, engine, key)
        raise
    if given.status_code >= 500:
        await run_in_threadpool(_forget, engine, key)
    else:
        await run_in_threadpool(_keep, engine, key, given=given)
    return given


def _begin(engine: Engine, key: str, *, digest: str, at: int) -> Answer | None:
    with reading(engine) as connection:
        found = answers.find(connection, key)
    if found is not None:
        return found
    try:
        with writing(engine) as connection:
            answers.remove_older(connection, at - KEPT, limit=_AT_ONCE)
            answers.begin(connection, key, digest=digest, at=at)
    except Conflict:  # another one of the same key was faster
        return Answer(digest=digest, at=at)
    return None


def _keep(engine: Engine, key: str, *, given: Response) -> None:
    headers = {name: given.headers[name] for name in _KEPT_HEADERS if name in given.headers}
    with writing(engine) as connection:
        answers.finish(connection, key, status=given.status_code, headers=headers, body=bytes(given.body))


def _forget(engine: Engine, key: str) -> None:
    with writing(engine) as connection:
        answers.forget(connection, key)


def _replayed(kept: Answer, *, digest: str, at: int) -> Response:
    if kept.digest != digest:
        return problem_response(
            InvalidInput("this Idempotency-Key came with another request before: take a new one for each command")
        )
    if not kept.status and at - kept.at < UNDER_WAY:
        return problem_response(UnderWay("the command with this Idempotency-Key is still under way: ask again in a moment"))
    if not kept.status:
        return problem_response(
            UnderWay("the control plane ended while it carried this command out: look whether it was done: modelctl history")
        )
    return Response(kept.body, kept.status, kept.headers | {REPLAYED: "true"})
