"""Every page: its address, and who makes it."""

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, Router
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from modelctl.controlplane.api.problems import Refused
from modelctl.controlplane.api.sessions import COOKIE
from modelctl.controlplane.dashboard import (
    backend_pages,
    history_page,
    overview,
    prediction_pages,
    report_page,
    rollout_page,
    route_page,
    sign_in,
    start_page,
    verb_page,
)
from modelctl.controlplane.dashboard.error_page import error_page
from modelctl.controlplane.dashboard.rendering import FIGURES, STATIC
from modelctl.controlplane.dashboard.visit import Site as Site
from modelctl.controlplane.dashboard.visit import Visit
from modelctl.controlplane.figures.style import STYLE
from modelctl.errors import ModelctlError

Page = Callable[[Visit], Awaitable[Response]]

PAGES: Sequence[tuple[str, str, Page]] = (
    ("GET", "/", overview.show),
    ("GET", "/sign-in", sign_in.show),
    ("POST", "/sign-in", sign_in.take),
    ("POST", "/sign-out", sign_in.leave),
    ("GET", "/routes/{name:name}", route_page.show),
    ("GET", "/routes/{name:name}/report", report_page.show),
    ("GET", "/routes/{name:name}/put-back", route_page.ask),
    ("POST", "/routes/{name:name}/put-back", route_page.put_back),
    ("GET", "/routes/{name:name}/start/{strategy:name}", start_page.show),
    ("POST", "/routes/{name:name}/start/{strategy:name}", start_page.start),
    ("GET", "/rollouts/{id:int}", rollout_page.show),
    ("GET", "/rollouts/{id:int}/{verb:name}", verb_page.show),
    ("POST", "/rollouts/{id:int}/{verb:name}", verb_page.act),
    ("GET", "/backends", backend_pages.show_all),
    ("GET", "/backends/{name:name}", backend_pages.show),
    ("GET", "/predictions", prediction_pages.show_all),
    ("GET", "/predictions/{name:name}", prediction_pages.show),
    ("GET", "/pairs/{name:name}/{candidate:name}", prediction_pages.show_pair),
    ("GET", "/history", history_page.show),
)


class _Files(StaticFiles):
    """Files whose addresses change with their contents, so a browser may keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code == 200:
            fixed = b"v=" in scope["query_string"]
            response.headers["cache-control"] = "public, max-age=31536000, immutable" if fixed else "no-cache"
        return response


def pages_of(site: Site) -> Router:
    """The pages, and the files they load."""
    pages = (Route(path, _served(site, page), methods=[method]) for method, path, page in PAGES)
    return Router([*pages, Route(f"/static/{FIGURES}", _figure_style), Mount("/static", _Files(directory=STATIC))])


async def _figure_style(_: Request) -> Response:
    return Response(STYLE, media_type="text/css", headers={"cache-control": "no-cache"})


def _served(site: Site, page: Page) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return await page(_visit(site, request))
        except (ModelctlError, Refused) as error:
            return error_page(error)

    return endpoint


def _visit(site: Site, request: Request) -> Visit:
    at = site.plane.clock()
    session = request.cookies.get(COOKIE, "")
    if site.sessions.holds(session, at=at):
        return Visit(site=site, request=request, at=at, session=session, new=False)
    # Without a key every browser gets a session; with one it has to sign in, or show the key itself.
    needed = site.sessions.needed
    return Visit(site=site, request=request, at=at, session="" if needed else site.sessions.begin(at), new=not needed)
