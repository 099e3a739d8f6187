"""Who may ask: the bearer key, and a lock on web pages of other sites that reach for a control plane on the reader's machine."""

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from modelctl.controlplane.api.problems import Refused, problem_response
from modelctl.errors import NotAuthorised

OPEN_PATHS = frozenset({"/livez"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Lets a request through, or answers with a problem. `key` is "" when none is set."""

    def __init__(self, app: ASGIApp, *, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode() if key else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            try:
                self._check(Headers(scope=scope), method=scope["method"], path=scope["path"])
            except (NotAuthorised, Refused) as error:
                await problem_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _check(self, headers: Headers, *, method: str, path: str) -> None:
        if self._expected:
            given = headers.get("authorization", "").encode("latin-1")
            if path not in OPEN_PATHS and not hmac.compare_digest(given, self._expected):
                raise NotAuthorised("this control plane needs its key: send it as `Authorization: Bearer KEY` (MODELCTL_KEY)")
        elif not _local_name(headers.get("host", "")):
            # A name that somebody else's DNS points to this machine would make their page same-origin with us.
            raise Refused(
                403, "without a key the control plane answers to IP addresses and localhost only: use one, or set MODELCTL_KEY"
            )
        if method not in _SAFE and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refused(403, "a page of another site may not change anything here")


def _local_name(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name in ("", "localhost"):
            return True
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
