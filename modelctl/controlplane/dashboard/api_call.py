"""A call of the API within this process: what a form asks for is done by the same code, with the same checks, as a command."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.types import ASGIApp, Message, Scope

from modelctl.controlplane.api.problems import Problem


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the API answered: the object of a success, or the problem."""

    status: int
    value: dict[str, Any] = {}
    problem: Problem | None = None


async def post(api: ASGIApp, path: str, *, body: Mapping[str, Any], headers: Mapping[str, str]) -> Answer:
    """The answer to POST `path`."""
    content = msgspec.json.encode(body)
    fields = {"content-type": "application/json", "content-length": str(len(content))} | dict(headers)
    scope: Scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in fields.items()],
        "client": None,
        "server": None,
    }
    return await _ask(api, scope, content=content)


async def _ask(api: ASGIApp, scope: Scope, *, content: bytes) -> Answer:
    status, pieces = 500, bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
        else:
            pieces.extend(message.get("body", b""))

    await api(scope, receive, send)
    if status >= 400:
        return Answer(status=status, problem=msgspec.json.decode(pieces, type=Problem))
    return Answer(status=status, value=msgspec.json.decode(pieces, type=dict[str, Any]))
