"""For each alert rule: the numbers at which it fires and what it then says, and numbers at which it must not."""

from typing import NamedTuple


class Alarm(NamedTuple):
    """One rule. `firing` and `quiet` are series in promtool's notation, a value each minute for half an hour."""

    name: str
    severity: str
    labels: dict[str, str]
    summary: str
    firing: dict[str, str]
    quiet: dict[str, str]


_ARM = {"route": "fraud", "arm": "new"}
_NEW = 'route="fraud",arm="new"'


def requests(outcome: str) -> str:
    return f'modelctl_requests_total{{{_NEW},outcome="{outcome}"}}'


def copies(result: str) -> str:
    return f'modelctl_shadow_total{{{_NEW},result="{result}"}}'


ALARMS = (
    Alarm(
        "ModelctlDown",
        "critical",
        {"job": "modelctl", "instance": "one"},
        "The control plane at one does not answer; routers serve on, nothing is judged or changed",
        {'up{job="modelctl",instance="one"}': "0x30"},
        {'up{job="modelctl",instance="one"}': "1x30", 'up{job="other",instance="one"}': "0x30"},
    ),
    Alarm(
        "ModelctlDatabaseDown",
        "critical",
        {},
        "The database does not answer; routers serve on, evidence waits in spools",
        {"modelctl_database_up": "0x30"},
        {"modelctl_database_up": "1 0 1 0 1x26"},
    ),
    Alarm(
        "ModelctlNoWorkers",
        "critical",
        {},
        "No router worker asks for routing tables",
        {"modelctl_workers": "0x30"},
        {"modelctl_workers": "1x30"},
    ),
    Alarm(
        "ModelctlWorkersBehind",
        "warning",
        {},
        "2 router workers do not serve from the newest routing table",
        {"modelctl_workers_behind": "2x30"},
        {"modelctl_workers_behind": "0 2 0x28"},
    ),
    Alarm(
        "ModelctlArmFails",
        "critical",
        _ARM,
        "Arm new of route fraud fails 10% of its requests",
        {requests("ok"): "0+540x30", requests("timeout"): "0+60x30", requests("cancelled"): "0+900x30"},
        {requests("ok"): "0+590x30", requests("backend_error"): "0+10x30"},
    ),
    Alarm(
        "ModelctlBackendGone",
        "critical",
        {"backend": "v7"},
        "No endpoint of backend v7 is available to some worker",
        {'modelctl_backend_endpoints_available{backend="v7"}': "0x30", 'modelctl_backend_endpoints{backend="v7"}': "0x30"},
        {'modelctl_backend_endpoints_available{backend="v7"}': "1x30", 'modelctl_backend_endpoints{backend="v7"}': "1x30"},
    ),
    Alarm(
        "ModelctlEndpointsOut",
        "warning",
        {"backend": "v7"},
        "Only 2 endpoints of backend v7 are available",
        {'modelctl_backend_endpoints_available{backend="v7"}': "2x30", 'modelctl_backend_endpoints{backend="v7"}': "3x30"},
        {'modelctl_backend_endpoints_available{backend="v7"}': "3x30", 'modelctl_backend_endpoints{backend="v7"}': "3x30"},
    ),
    Alarm(
        "ModelctlBreakerOpen",
        "warning",
        _ARM,
        "Candidate new of route fraud gets no requests: the baseline answers them",
        {f"modelctl_breakers_open{{{_NEW}}}": "1x30"},
        {f"modelctl_breakers_open{{{_NEW}}}": "0x30"},
    ),
    Alarm(
        "ModelctlRetryBudgetSpent",
        "warning",
        {"backend": "v7"},
        "Backend v7 fails more than its retry budget covers",
        {'modelctl_retries_refused_total{backend="v7"}': "0+6x30"},
        {'modelctl_retries_refused_total{backend="v7"}': "7x30"},
    ),
    Alarm(
        "ModelctlRouterShort",
        "warning",
        {},
        "A router worker is short of memory or time (level 2)",
        {"modelctl_router_shortage": "2x30"},
        {"modelctl_router_shortage": "0x30"},
    ),
    Alarm(
        "ModelctlRefusing",
        "critical",
        {"code": "overloaded"},
        "Routers refuse requests (overloaded)",
        {'modelctl_refusals_total{code="overloaded"}': "0+60x30"},
        {'modelctl_refusals_total{code="no-route"}': "0+60x30", 'modelctl_refusals_total{code="overloaded"}': "9x30"},
    ),
    Alarm(
        "ModelctlShadowSkipped",
        "warning",
        _ARM,
        "20% of the copies for new on fraud are not sent",
        {copies("ok"): "0+48x30", copies("skipped_inflight"): "0+12x30"},
        {copies("ok"): "0+590x30", copies("skipped_inflight"): "0+10x30"},
    ),
    Alarm(
        "ModelctlEvidenceDropped",
        "critical",
        {"reason": "spool_full"},
        "Records are lost (spool_full); gates will not promote",
        {'modelctl_evidence_dropped_total{reason="spool_full"}': "0x17 5x12"},
        {'modelctl_evidence_dropped_total{reason="spool_full"}': "5x30"},
    ),
    Alarm(
        "ModelctlEvidenceUnwaited",
        "warning",
        {},
        "Answers went out before their records were written, although the mode is sync",
        {"modelctl_evidence_unwaited_total": "0x17 5x12"},
        {"modelctl_evidence_unwaited_total": "5x30"},
    ),
    Alarm(
        "ModelctlEvidenceLags",
        "warning",
        {},
        "The database is 2m 0s behind the routers",
        {"modelctl_evidence_lag_seconds": "120x30"},
        {"modelctl_evidence_lag_seconds": "30x30"},
    ),
    Alarm(
        "ModelctlEvidenceQuarantined",
        "warning",
        {},
        "Records could not be recorded",
        {"modelctl_evidence_quarantined_total": "0x17 1x12", "modelctl_evidence_corrupt_bytes_total": "0x30"},
        {"modelctl_evidence_quarantined_total": "4x30", "modelctl_evidence_corrupt_bytes_total": "9x30"},
    ),
    Alarm(
        "ModelctlRolledBack",
        "info",
        {"route": "fraud", "decision": "rollback"},
        "The evidence on route fraud proved harm",
        {'modelctl_gate_decisions_total{route="fraud",decision="rollback"}': "0x17 1x12"},
        {'modelctl_gate_decisions_total{route="fraud",decision="promote"}': "0x17 1x12"},
    ),
)
