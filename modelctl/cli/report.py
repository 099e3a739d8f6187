"""`report`: the shadow comparison, or what a canary or A/B test has shown."""

from typing import Annotated

import typer

from modelctl.cli.api import read
from modelctl.cli.command import REPORTS, Session, client
from modelctl.cli.output import show, write_structured, write_text
from modelctl.cli.report_answer import Report
from modelctl.cli.report_sections import report_sections
from modelctl.cli.routes import address
from modelctl.cli.target import only_route
from modelctl.cli.verbs import Route

commands = typer.Typer()


@client(commands, "report", examples=("modelctl report", "modelctl report fraud --rollout 7 -o md > report.md"), outputs=REPORTS)
def report(
    session: Session,
    route: Route = "",
    *,
    rollout: Annotated[int | None, typer.Option(help="An earlier rollout, from `modelctl list`.")] = None,
) -> None:
    """Show what the evidence says: verdict, funnel, differences with their intervals, and the worst disagreements."""
    path = f"{address(only_route(session, route, command='report {route}'))}/report"
    if session.output == "md":
        write_text(session.api.text(path, format="md", rollout=rollout))
        return
    answer = session.api.get(path, rollout=rollout)
    if session.structured:
        write_structured(answer, session.output)
    else:
        show(report_sections(read(answer, Report)))
