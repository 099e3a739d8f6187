"""The control plane as a whole: the API, and pages for whatever is no call of it."""

from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Router

from modelctl.controlplane.api.app import create_app
from modelctl.controlplane.api.guard import wants_page
from modelctl.controlplane.api.problems import problem_response
from modelctl.controlplane.dashboard.error_page import error_page
from modelctl.controlplane.dashboard.headers import Headers
from modelctl.controlplane.dashboard.site import pages_of
from modelctl.controlplane.dashboard.visit import Site
from modelctl.controlplane.fleet import Fleet
from modelctl.settings import Settings


def create_control_plane(engine: Engine, settings: Settings, *, fleet: Fleet | None = None) -> Starlette:
    """The API over `engine` with the dashboard at `/`."""
    return with_pages(create_app(engine, settings, fleet=fleet))


def with_pages(app: Starlette) -> Starlette:
    """The API's application, with the pages; before its first request."""
    site = Site(plane=app.state.plane, sessions=app.state.sessions, api=Router(app.routes))
    app.router.default = pages_of(site)
    app.add_middleware(Headers)
    app.add_exception_handler(HTTPException, _answer)
    app.add_exception_handler(Exception, _answer)
    return app


async def _answer(request: Request, error: Exception) -> Response:
    return error_page(error) if wants_page(request.headers, request.url.path) else problem_response(error)
