"""The report people decide by: the page that `modelctl report --html` writes, with the way back."""

from sqlalchemy import Engine
from starlette.responses import HTMLResponse, Response

from modelctl.controlplane.dashboard.visit import Visit
from modelctl.controlplane.report.content import write_report
from modelctl.controlplane.report.gathering import findings
from modelctl.controlplane.report.page import PAGE_HEADERS, page
from modelctl.errors import InvalidInput


async def show(visit: Visit) -> Response:
    """The report of the route's open or last rollout, or of the one that `rollout` names."""
    wanted = visit.asked("rollout")
    if wanted and not (wanted.isdecimal() and len(wanted) < 18):
        raise InvalidInput(f"{wanted!r} is no rollout: give its number")
    content = await visit.run(_page, visit, rollout=int(wanted) if wanted else None)
    return HTMLResponse(content, headers=PAGE_HEADERS)


def _page(engine: Engine, visit: Visit, *, rollout: int | None) -> str:
    """Says itself of when it is; one that was written a few seconds ago is shown again."""
    name = visit.name()

    def write() -> str:
        found = findings(engine, name, rollout=rollout)
        return page(write_report(found, at=visit.at), back=f"/rollouts/{found.evidence.rollout.id}")

    return visit.site.reports.get((name, rollout), write, at=visit.at)
