"""`doctor`: looks at every part and says what is broken and how to mend it. Sends nothing to a model."""

from collections.abc import Iterator

import httpx
import msgspec
import typer

from modelctl.cli.api import read
from modelctl.cli.command import VIEWS, Session, client
from modelctl.cli.exits import rule_for
from modelctl.cli.output import show, table, write_structured
from modelctl.cli.quantities import count, duration
from modelctl.cli.status_answer import Backlog, Evidence, RouteStatus, Status, WorkerStatus
from modelctl.errors import ModelctlError

commands = typer.Typer()

LONG_AGO = 60.0
MOST_SPOOLS = 10  # a line each; the rest are in the sum


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at. `mend` says what to do, and is empty when `state` is `ok`."""

    what: str
    state: str
    found: str
    mend: str = ""


@client(commands, "doctor", examples=("modelctl doctor", "modelctl doctor --url http://10.0.0.5:8900 -o json"), outputs=VIEWS)
def doctor(session: Session) -> None:
    """Check the control plane, its database, the routers and the evidence. Nothing is sent to a model."""
    findings = list(examine(session))
    if session.structured:
        write_structured({"findings": findings}, session.output)
    else:
        rows = [[finding.what, finding.state, finding.found, finding.mend or "-"] for finding in findings]
        show(table(["WHAT", "STATE", "FOUND", "TO MEND IT"], rows))
    broken = [finding.what for finding in findings if finding.state == "broken"]
    if broken:
        raise ModelctlError(f"broken: {', '.join(broken)}")


def examine(session: Session) -> Iterator[Finding]:
    """Everything that can be found out. Raises ControlPlaneUnreachable or NotAuthorised when nothing can."""
    session.api.get("/livez")
    yield Finding("control plane", "ok", f"answers at {session.api.url}")
    try:
        session.api.get("/readyz")
        status = read(session.api.get("/v1/status"), Status)
    except (ModelctlError, httpx.HTTPError) as error:
        rule = rule_for(error)
        yield Finding("database", "broken", str(error), rule.hint or "read the log of the control plane")
        return
    yield Finding("database", "ok", "the control plane is ready")
    yield _routes(status.routes)
    yield from _workers(status)
    yield from _evidence(status.evidence)
    yield from _spools(status.evidence.backlogs, at=status.at)


def _routes(routes: tuple[RouteStatus, ...]) -> Finding:
    if not routes:
        return Finding("routes", "warning", "none", "modelctl route add NAME --path /NAME --backend BACKEND")
    return Finding("routes", "ok", ", ".join(f"{route.name} at {route.host}{route.path}" for route in routes))


def _workers(status: Status) -> Iterator[Finding]:
    if not any(worker.alive for worker in status.workers):
        yield Finding("routers", "broken", "no worker is connected", "start one with modelctl serve or modelctl router")
    for worker in status.workers:
        yield _worker(worker, newest=status.table_version)


def _worker(worker: WorkerStatus, *, newest: int) -> Finding:
    name = f"worker {worker.worker}"
    if not worker.alive:
        return Finding(name, "warning", "silent", "fine if it was stopped; else see whether it runs and reaches the control plane")
    if worker.version == newest:
        return Finding(name, "ok", f"serves table {worker.version}")
    reason = f": it refused table {worker.refused}, {worker.why}" if worker.refused else ""
    return Finding(
        name, "broken", f"serves table {worker.version}, the newest is {newest}{reason}", "read its log, then start it again"
    )


def _evidence(evidence: Evidence) -> Iterator[Finding]:
    if evidence.lag is None:
        yield Finding("evidence", "ok", "nothing recorded yet")
    else:
        yield _recorder(evidence, evidence.lag)
    if evidence.dropped:
        found = f"{count(evidence.dropped)}{evidence.why_dropped}"
        yield Finding(
            "dropped records", "warning", found, "give the spool more room: on its disk, or with MODELCTL_SPOOL_MAX_BYTES"
        )
    if evidence.quarantined:
        yield Finding("quarantined records", "warning", count(evidence.quarantined), "see why: modelctl evidence quarantine")


def _recorder(evidence: Evidence, lag: float) -> Finding:
    found = f"{count(evidence.committed)} records, the last {duration(lag)} ago"
    if lag <= LONG_AGO:
        return Finding("evidence", "ok", found)
    if evidence.pending > 0:
        waiting = f"{found}; {count(evidence.pending)} wait"
        return Finding("evidence", "broken", waiting, "see whether the recorder runs and the database keeps up")
    return Finding("evidence", "warning", found, "fine without traffic; else see whether the recorder runs")


def _spools(backlogs: tuple[Backlog, ...], *, at: int) -> Iterator[Finding]:
    """What waits on the control plane's machine, in all and in the spools that are furthest behind. `at` is a Unix millisecond."""
    if not backlogs:
        yield Finding("spools", "ok", "nothing waits on the control plane's machine")
        return
    together = Backlog(
        "all",
        sum(one.bytes for one in backlogs),
        sum(one.records for one in backlogs),
        min((one.oldest_at for one in backlogs if one.oldest_at), default=0),
    )
    yield _backlog("spools", together, at=at)
    for one in backlogs[:MOST_SPOOLS]:
        yield _backlog(f"spool {one.name}", one, at=at)


def _backlog(what: str, backlog: Backlog, *, at: int) -> Finding:
    found = f"{count(backlog.bytes)} bytes, {count(backlog.records)} records wait"
    if not backlog.records:
        return Finding(what, "ok", found)
    age = max(0.0, at / 1_000 - backlog.oldest_at / 1_000_000)
    found = f"{found}, the oldest {duration(age)} old"
    if age <= LONG_AGO:
        return Finding(what, "ok", found)
    return Finding(what, "broken", found, "see whether the recorder runs and the database keeps up")
