"""Who may ask: the bearer key or a browser's session, and a lock on web pages of other sites that reach for a control plane on the
reader's machine."""

import hmac
import ipaddress
from collections.abc import Callable
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from modelctl.controlplane.api.problems import Refused, problem_response
from modelctl.controlplane.api.sessions import Sessions, cookie_in
from modelctl.errors import NotAuthorised

OPEN_PATHS = frozenset({"/livez", "/sign-in"})
OPEN_FOLDER = "/static/"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_API = ("/v1/", "/internal/", "/openapi.json", "/livez", "/readyz", "/metrics")


class Guard:
    """Lets a request through, or answers with a problem; a reader of pages is sent to sign in. `key` is "" when none is set."""

    def __init__(self, app: ASGIApp, *, key: str, sessions: Sessions, clock: Callable[[], int]) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode() if key else b""
        self._sessions = sessions
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            try:
                self._check(headers, method=scope["method"], path=scope["path"])
            except (NotAuthorised, Refused) as error:
                await _refusal(error, headers, scope=scope)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, *, method: str, path: str) -> None:
        if self._expected:
            if not self._admitted(headers, method=method, path=path):
                raise NotAuthorised("this control plane needs its key: send it as `Authorization: Bearer KEY` (MODELCTL_KEY)")
        elif not _local_name(headers.get("host", "")):
            # A name that somebody else's DNS points to this machine would make their page same-origin with us.
            raise Refused(
                403, "without a key the control plane answers to IP addresses and localhost only: use one, or set MODELCTL_KEY"
            )
        if method not in SAFE and _foreign(headers):
            raise Refused(403, "a page of another site may not change anything here")

    def _admitted(self, headers: Headers, *, method: str, path: str) -> bool:
        if path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
            return True
        if hmac.compare_digest(headers.get("authorization", "").encode("latin-1"), self._expected):
            return True
        # A session opens pages and what they read. The API's changes take the key: a page makes them by its forms.
        return not (of_api(path) and method not in SAFE) and self._sessions.holds(
            cookie_in(headers.get("cookie", "")), at=self._clock()
        )


def of_api(path: str) -> bool:
    """Whether programs ask for this path, and not people."""
    return path.startswith(_API)


def wants_page(headers: Headers, path: str) -> bool:
    """Whether a browser asks for something to be shown."""
    return not of_api(path) and "text/html" in headers.get("accept", "")


def _refusal(error: Exception, headers: Headers, *, scope: Scope) -> Response:
    if not isinstance(error, NotAuthorised) or not wants_page(headers, scope["path"]):
        return problem_response(error)
    query = scope["query_string"].decode("latin-1")
    wanted = scope["path"] + (f"?{query}" if query else "") if scope["method"] in SAFE else "/"
    return RedirectResponse(f"/sign-in?next={quote(wanted, safe='')}", 303)


def _foreign(headers: Headers) -> bool:
    """Whether a browser says that a page of another site sent this. Programs say nothing of the kind."""
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() != headers.get("host", "").lower()


def _local_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name in ("", "localhost"):
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
