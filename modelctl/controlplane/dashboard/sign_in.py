"""The key, pasted once, for a session of some hours."""

from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from modelctl.controlplane.api.sessions import COOKIE, LASTS
from modelctl.controlplane.dashboard.visit import Visit, keep, read_form


async def show(visit: Visit) -> Response:
    """Where the key is asked for. Without one there is nothing to sign in to."""
    if not visit.site.sessions.needed:
        return RedirectResponse("/", 303)
    return await visit.page("sign_in.html", next=_within(visit.asked("next")), wrong=False)


async def take(visit: Visit) -> Response:
    """A session for the right key. The form has no token: who has the key may sign in, and the guard refuses other sites' forms."""
    fields = await read_form(visit.request)
    wanted = _within(fields.get("next", ""))
    if not visit.site.sessions.opens(fields.get("key", "")):
        return await visit.page("sign_in.html", status=401, next=wanted, wrong=True)
    response = RedirectResponse(wanted, 303)
    keep(response, COOKIE, value=visit.site.sessions.begin(visit.at), seconds=LASTS // 1_000_000)
    return response


async def leave(visit: Visit) -> Response:
    """Takes the session away from this browser."""
    await visit.form()
    response = RedirectResponse("/", 303)
    response.delete_cookie(COOKIE, path="/")
    return response


def _within(where: str) -> str:
    """A page of ours; never another site's, however it is written."""
    parts = urlsplit(where.replace("\\", "/"))
    inside = where.startswith("/") and not where.startswith(("//", "/\\")) and not parts.scheme and not parts.netloc
    return where if inside and where.isprintable() else "/"
