"""What went wrong, as a page."""

from starlette.responses import HTMLResponse, Response

from modelctl.controlplane.api.problems import problem_for
from modelctl.controlplane.dashboard.headers import HEADERS
from modelctl.controlplane.dashboard.rendering import render


def error_page(error: Exception) -> Response:
    """Says what is wrong and what to do, with the status that the API would give it."""
    problem = problem_for(error)
    page = render("problem.html", {"problem": problem})
    return HTMLResponse(page, problem.status, headers={**HEADERS, "cache-control": "no-store"})
