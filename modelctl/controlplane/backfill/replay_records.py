"""Recorded requests that are sent again, and the pairs that come of them. Pure.

A pair of a replay has the time and the request id of the recorded request, so late labels count for it too. Its own id follows from
the replay and the recorded prediction: sending a request a second time makes no second pair.
"""

from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import Row

from modelctl.controlplane.sending import Outgoing, url_at
from modelctl.evidence import REQUEST_LEFT_OUT, REQUEST_REDACTED, SENT, Answer, Compared, Context, Request, Served
from modelctl.kinds import Outcome
from modelctl.rollout import Rollout
from modelctl.store.bodies import body_of
from modelctl.traffic import ALL, CHOSEN, Backend, Reason, Role

# Why a recorded prediction is not replayed.
TRUNCATED_REQUEST = "request-truncated"  # its body was not recorded whole
TRUNCATED_ANSWER = "answer-truncated"  # the baseline's answer was not
REDACTED_REQUEST = "request-redacted"  # the route's rules took something out of it
REDACTED_ANSWER = "answer-redacted"  # or out of the baseline's answer: a difference may be what was taken out
NOT_KEPT = "bodies-not-kept"  # the route keeps a sample of its bodies, and this request is not in it
CHOSEN_ARM = "chosen-arm"  # nobody's share led to it: a preview, a rule, an addressed arm, or a fallback
UNFINISHED = "unfinished"  # its client left, or it became a tunnel: there is no answer to compare with
ODD_TARGET = "odd-target"  # bytes in its path that were not recorded as they came
_APART = CHOSEN | {Reason.FALLBACK}


def reason_against(row: Row[Any]) -> str:
    """Why the prediction in `row` cannot be replayed; empty when it can."""
    if row.reason in _APART:
        return CHOSEN_ARM
    if row.outcome in (Outcome.CANCELLED, Outcome.SWITCHED):
        return UNFINISHED
    if not row.bodies_kept:
        return NOT_KEPT
    if row.redacted:
        return REDACTED_REQUEST if row.redacted & (REQUEST_REDACTED | REQUEST_LEFT_OUT) else REDACTED_ANSWER
    if len(body_of(row, "request")) < row.request_size:
        return TRUNCATED_REQUEST
    if len(body_of(row, "answer")) < row.answer_size:
        return TRUNCATED_ANSWER
    return "" if row.target.isascii() and "\\" not in row.target and row.target.startswith("/") else ODD_TARGET


def served_again(row: Row[Any], rollout: Rollout) -> Served:
    """The recorded request with the baseline's answer, under the replay."""
    fields = msgspec.json.decode(row.headers, type=dict[str, str])
    request = Request(
        row.method.encode(),
        row.target.encode(),
        row.request_type.encode(),
        row.request_encoding.encode(),
        body_of(row, "request"),
        row.request_size,
        tuple((name.encode(), value.encode()) for name, value in fields.items()),
    )
    context = Context(
        rollout.route, rollout.id, rollout.stage, row.table_version, Role.BASELINE, Reason.REPLAY, ALL, row.unit.encode()
    )
    shown = tuple((name, SENT) for name in rollout.candidates)
    return Served(replay_id(rollout, row), row.request_id.encode(), row.at, context, request, _answer(row), shown)


def compared(served: Served, answer: Answer) -> Compared:
    """The pair of the recorded answer and the candidate's."""
    return Compared(served, answer)


def replay_id(rollout: Rollout, row: Row[Any]) -> bytes:
    """16 bytes that begin with the time in milliseconds, as a UUIDv7 does, and are the same whenever this row is replayed."""
    digest = blake2b(f"{rollout.id}:{row.id}".encode(), key=rollout.salt.encode()[:64], digest_size=10).digest()
    milliseconds: int = row.at // 1000
    return milliseconds.to_bytes(6, "big") + digest


def outgoing(served: Served, backend: Backend, *, path: str, keep: int) -> Outgoing:
    """The request to the backend's first endpoint, whose path takes the place of the route's (`path`), as a router sends it."""
    fields = {name.decode("ascii", "replace"): value.decode() for name, value in served.request.headers}
    fields = {name: value for name, value in fields.items() if value.isascii() and value.isprintable()}
    fields |= {"content-type": served.request.content_type.decode()} if served.request.content_type else {}
    fields |= {"content-encoding": served.request.encoding.decode()} if served.request.encoding else {}
    fields |= {"x-request-id": served.request_id.decode(), "user-agent": "modelctl-replay"}
    body = served.request.body if served.request.size else None
    url = url_at(backend, path=path, target=served.request.target.decode())
    return Outgoing(method=served.request.method.decode(), url=url, content=body, headers=fields, keep=keep)


def _answer(row: Row[Any]) -> Answer:
    return Answer(
        row.arm,
        row.status,
        row.failure,
        row.latency_us,
        row.first_byte_us,
        row.answer_type.encode(),
        row.answer_encoding.encode(),
        body_of(row, "answer"),
        row.answer_size,
        row.first_event_us,
    )
