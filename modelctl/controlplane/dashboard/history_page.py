"""Who did what, when and why."""

from starlette.responses import Response

from modelctl.controlplane.dashboard.visit import Visit
from modelctl.controlplane.operations.inspecting import read_events

PAGE = 50


async def show(visit: Visit) -> Response:
    """The page; `route` narrows it to one."""
    route = visit.asked("route")
    page = await visit.run(read_events, route or None, limit=PAGE, cursor=visit.asked("cursor") or None)
    return await visit.page("history.html", page=page, route=route)
