"""Every metric that `/metrics` has: its name, its labels, what it says, and where its numbers come from. Pure.

Labels are names of routes, arms and backends, and words of this program: never paths, units or what models answer.
"""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import NamedTuple

from modelctl.counts import ANSWERING, SHOWN


class Type(StrEnum):
    """The types of Prometheus."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One metric. `source` is the first word of the workers' keys it is made of; "" where it is made here.

    `together` makes one number of what several workers measure.
    """

    name: str
    type: Type
    labels: tuple[str, ...]
    help: str
    source: str = ""
    together: Callable[[Iterable[float]], float] = sum


_BACKEND = ("backend",)
_ARM = ("route", "arm")

REQUESTS = Metric("modelctl_requests_total", Type.COUNTER, (*_ARM, "outcome"), "Answers to clients, by how they ended", ANSWERING)
DURATION = Metric(
    "modelctl_request_duration_seconds",
    Type.HISTOGRAM,
    _ARM,
    "From a request's head to the end of its answer; complete answers and timeouts",
    ANSWERING,
)
SHADOW = Metric(
    "modelctl_shadow_total",
    Type.COUNTER,
    (*_ARM, "result"),
    "Copies of requests: how their answers ended, or why they were skipped",
    SHOWN,
)
SHADOW_DURATION = Metric(
    "modelctl_shadow_duration_seconds",
    Type.HISTOGRAM,
    _ARM,
    "From sending a copy to the end of its answer; complete answers and timeouts",
    SHOWN,
)
SHARE = Metric(
    "modelctl_arm_share_ratio", Type.GAUGE, (*_ARM, "role"), "The share of requests that the arm is to answer, from 0 to 1"
)
SHADOW_SHARE = Metric(
    "modelctl_arm_shadow_ratio", Type.GAUGE, (*_ARM, "role"), "The share of requests that the arm is to be shown, from 0 to 1"
)
TABLE_VERSION = Metric("modelctl_table_version", Type.GAUGE, (), "The version of the newest routing table")
WORKERS = Metric("modelctl_workers", Type.GAUGE, (), "Router workers that ask for routing tables")
WORKERS_BEHIND = Metric("modelctl_workers_behind", Type.GAUGE, (), "Workers that do not serve from the newest routing table")
BUILD = Metric("modelctl_build_info", Type.GAUGE, ("version",), "The program that answers; always 1")
DATABASE = Metric("modelctl_database_up", Type.GAUGE, (), "Whether the database answered this scrape")
ROLLOUTS = Metric("modelctl_rollouts_open", Type.GAUGE, ("route", "phase"), "Rollouts that have not ended")
DECISIONS = Metric(
    "modelctl_gate_decisions_total",
    Type.COUNTER,
    ("route", "decision"),
    "The first time a rollout's evidence said this; advance is a passed gate of a step",
)
DROPPED = Metric("modelctl_evidence_dropped_total", Type.COUNTER, ("reason",), "Records that were lost", "evidence-dropped")
COMMITTED = Metric("modelctl_evidence_committed_total", Type.COUNTER, (), "Records that the database has")
QUARANTINED = Metric("modelctl_evidence_quarantined_total", Type.COUNTER, (), "Records that were set aside, each with its reason")
DUPLICATE = Metric("modelctl_evidence_duplicate_total", Type.COUNTER, (), "Records that the database had already")
CORRUPT = Metric("modelctl_evidence_corrupt_bytes_total", Type.COUNTER, (), "Bytes of spools that are no records")
PENDING = Metric("modelctl_evidence_pending_records", Type.GAUGE, (), "Records that are in spools and not yet in the database")
BACKLOG = Metric("modelctl_evidence_backlog_bytes", Type.GAUGE, (), "The same in bytes")
LAG = Metric("modelctl_evidence_lag_seconds", Type.GAUGE, (), "The age of the oldest record that the database does not have")

METRICS: tuple[Metric, ...] = (
    REQUESTS,
    DURATION,
    SHADOW,
    SHADOW_DURATION,
    SHARE,
    SHADOW_SHARE,
    DECISIONS,
    ROLLOUTS,
    Metric("modelctl_evidence_offered_total", Type.COUNTER, (), "Records that were to be written", "evidence-offered"),
    Metric("modelctl_evidence_accepted_total", Type.COUNTER, (), "Records that were written to a spool", "evidence-accepted"),
    DROPPED,
    Metric(
        "modelctl_evidence_unwaited_total",
        Type.COUNTER,
        (),
        "Sync mode: answers that went out before their records were written",
        "evidence-unwaited",
    ),
    Metric(
        "modelctl_evidence_unsynced_total",
        Type.COUNTER,
        (),
        "Syncs to the disk that failed: what was written before may not survive a loss of power",
        "evidence-unsynced",
    ),
    COMMITTED,
    QUARANTINED,
    DUPLICATE,
    CORRUPT,
    PENDING,
    BACKLOG,
    LAG,
    Metric("modelctl_evidence_buffer_bytes", Type.GAUGE, (), "Records that wait in memory for the disk", "evidence-buffer"),
    Metric("modelctl_backend_endpoints", Type.GAUGE, _BACKEND, "Endpoints that are registered", "endpoints", max),
    Metric(
        "modelctl_backend_endpoints_available",
        Type.GAUGE,
        _BACKEND,
        "Endpoints that are well and not ejected, where a worker sees the fewest",
        "endpoints-available",
        min,
    ),
    Metric(
        "modelctl_backend_endpoints_ejected",
        Type.GAUGE,
        _BACKEND,
        "Endpoints that fail more than the others and rest, where a worker sees the most",
        "endpoints-ejected",
        max,
    ),
    Metric("modelctl_backend_inflight_requests", Type.GAUGE, _BACKEND, "Requests that it has now", "backend-inflight"),
    Metric("modelctl_breakers_open", Type.GAUGE, _ARM, "Workers that keep requests away from a candidate", "breakers-open"),
    Metric("modelctl_retries_total", Type.COUNTER, _BACKEND, "Requests that were sent again", "retries"),
    Metric(
        "modelctl_retries_refused_total",
        Type.COUNTER,
        _BACKEND,
        "Requests that were not, because the retry budget was spent",
        "retries-refused",
    ),
    Metric("modelctl_refusals_total", Type.COUNTER, ("code",), "Answers of the router's own", "refusals"),
    Metric("modelctl_unread_bodies_total", Type.COUNTER, ("reason",), "Bodies that no rule could look at", "unread-bodies"),
    Metric("modelctl_router_events_total", Type.COUNTER, ("event",), "Lines that workers have logged", "events"),
    Metric("modelctl_connections", Type.GAUGE, (), "Connections of clients", "connections"),
    Metric("modelctl_inflight_requests", Type.GAUGE, (), "Requests that are being answered", "inflight"),
    Metric("modelctl_router_memory_bytes", Type.GAUGE, (), "Memory of all workers", "memory"),
    Metric(
        "modelctl_router_shortage",
        Type.GAUGE,
        (),
        "How short the worst worker is: 0 not, 1 it sends no copies, 2 it refuses requests",
        "shortage",
        max,
    ),
    TABLE_VERSION,
    WORKERS,
    WORKERS_BEHIND,
    DATABASE,
    BUILD,
)
