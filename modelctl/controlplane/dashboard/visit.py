"""One request of a browser: what a page gets to make its HTML of, and how a form is read."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import parse_qsl, quote, unquote

import msgspec
from sqlalchemy import Engine
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from modelctl.controlplane.api.call import Plane
from modelctl.controlplane.api.problems import Refused
from modelctl.controlplane.api.sessions import COOKIE, Sessions
from modelctl.controlplane.dashboard.kept import Kept
from modelctl.controlplane.dashboard.rendering import render
from modelctl.controlplane.report.status import RouteStatus
from modelctl.errors import InvalidInput

P = ParamSpec("P")
T = TypeVar("T")

MAX_FORM = 256 * 1024
MAX_FIELDS = 200
ACTOR = "modelctl-actor"
TOLD = "modelctl-told"
_YEAR = 365 * 86_400
_MAX_TOLD = 400
_MAX_ACTOR = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What all pages have: the plane, the sessions, the API as this process calls it, and what was worked out a moment ago."""

    plane: Plane
    sessions: Sessions
    api: ASGIApp
    glances: Kept[RouteStatus] = field(default_factory=lambda: Kept(most=512, lasts=5_000_000))
    reports: Kept[str] = field(default_factory=lambda: Kept(most=16, lasts=10_000_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """`session` is the browser's cookie, or a new one that the answer sets; `at` is when the request came (Unix microseconds)."""

    site: Site
    request: Request
    at: int
    session: str
    new: bool

    @property
    def plane(self) -> Plane:
        return self.site.plane

    @property
    def actor(self) -> str:
        """Who this browser said it is, last time."""
        return unquote(self.request.cookies.get(ACTOR, ""))

    def name(self) -> str:
        """The name in the path."""
        return str(self.request.path_params["name"])

    def id(self) -> int:
        """The number in the path."""
        return int(self.request.path_params["id"])

    def asked(self, name: str) -> str:
        """A field of the query; empty without it."""
        return self.request.query_params.get(name, "").strip()

    async def run(self, operation: Callable[Concatenate[Engine, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        """The operation, on a thread: the database may take its time, the event loop may not."""
        return await run_in_threadpool(operation, self.plane.engine, *arguments, **options)

    async def page(self, template: str, *, status: int = 200, **values: Any) -> Response:  # noqa: ANN401 what a template takes
        """The page, with what was told since the last one. On a thread: a long table takes a while."""
        context = values | {
            "now": self.at,
            "here": self.request.url.path,
            "again": self.request.url.path + (f"?{query}" if (query := self.request.url.query) else ""),
            "token": self.site.sessions.token(self.session),
            "fresh_key": secrets.token_urlsafe(16),
            "actor": self.actor,
            "signed_in": self.site.sessions.needed,
            "told": self._told(),
        }
        content = await run_in_threadpool(render, template, context)
        response = HTMLResponse(content, status, headers={"cache-control": "no-store"})
        if self.new:
            keep(response, COOKIE, value=self.session, seconds=None)
        if TOLD in self.request.cookies and not self.asks_again:
            response.delete_cookie(TOLD, path="/")
        return response

    @property
    def asks_again(self) -> bool:
        """Whether the page reads itself again, because something changed."""
        return "hx-request" in self.request.headers

    async def form(self) -> dict[str, str]:
        """The fields of a form that one of our pages showed to this browser. Raises Refused."""
        fields = await read_form(self.request)
        if not self.site.sessions.issued(self.session, fields.get("token", "")):
            raise Refused(403, "this form is not one that was shown to this browser, or it is out of date: open the page again")
        return fields

    def done(self, where: str, *, told: tuple[str, ...], actor: str = "") -> Response:
        """Sends the browser to a page that says what came of it."""
        response = RedirectResponse(where, 303)
        keep(response, TOLD, value=msgspec.json.encode([text[:_MAX_TOLD] for text in told[:3]]).hex(), seconds=60)
        if actor and actor != self.actor:
            keep(response, ACTOR, value=quote(actor[:_MAX_ACTOR], safe=""), seconds=_YEAR)
        return response

    def _told(self) -> tuple[str, ...]:
        try:
            return msgspec.json.decode(bytes.fromhex(self.request.cookies.get(TOLD, "")) or b"[]", type=tuple[str, ...])
        except (ValueError, msgspec.DecodeError):
            return ()


def keep(response: Response, name: str, *, value: str, seconds: int | None) -> None:
    """A cookie that no script reads and no other site sends."""
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="strict")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of one that is there several times, the values with a line each. Raises Refused, InvalidInput."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refused(415, "send a form")
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_FORM:
            raise Refused(413, f"the form is larger than {MAX_FORM} bytes")
    try:
        pairs = parse_qsl(content.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict")
    except ValueError as error:
        raise InvalidInput(f"the form cannot be read: {error}") from None
    return joined(pairs)


def joined(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """The values by name; of one that is there several times, those that say something, with a line each."""
    found: dict[str, str] = {}
    for name, value in pairs:
        lines = (found.get(name, ""), value.replace("\r\n", "\n").strip())
        found[name] = "\n".join(line for line in lines if line)
    return found


def fields_of(values: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those of these names; empty for what is not there."""
    return {name: values.get(name, "") for name in names}
