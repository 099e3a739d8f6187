"""One line of an exported prediction back into the record a router would have written. Pure.

What is extracted from the answer (outcome, label, number) is not taken from the line: the recorder reads it from the answer again.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Container

import msgspec

from modelctl.errors import InvalidInput
from modelctl.evidence import Answer, Context, Request, Served

_ID = re.compile(r"[0-9a-f]{32}")


class ImportedLine(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an exported prediction that its record is made of."""

    id: str
    at: int
    route: str
    arm: str
    status: int
    latency_us: int
    request_id: str
    rollout: int = 0
    stage: int = 0
    table_version: int = 0
    role: str = "baseline"
    reason: str = "only"
    probability: int = 10_000
    unit: str = ""
    method: str = "POST"
    target: str = ""
    failure: str = ""
    first_byte_us: int = 0
    first_event_us: int = 0
    attempts: int = 1
    redacted: int = 0
    bodies_kept: int = 1
    bodies_share: int = 10_000
    headers: dict[str, str] = {}
    request_type: str = ""
    request_encoding: str = ""
    request_body: str = ""
    request_body_base64: str = ""
    request_size: int | None = None
    answer_type: str = ""
    answer_encoding: str = ""
    answer_body: str = ""
    answer_body_base64: str = ""
    answer_size: int | None = None


class Known(msgspec.Struct, frozen=True):
    """What a line may name: the routes and backends that are registered. With `apart`, what fell under rollouts is taken as the
    route's traffic outside of them; without, it is refused."""

    routes: frozenset[str]
    backends: frozenset[str]
    apart: bool


_decode = msgspec.json.Decoder(ImportedLine).decode


def record_of(line: bytes, known: Known) -> Served:
    """The record. Raises InvalidInput, saying what is wrong with the line and what to do."""
    try:
        row = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"is no exported prediction: {error}") from None
    _check(row, known)
    context = Context(row.route, 0, 0, row.table_version, row.role, row.reason, row.probability, row.unit.encode())
    identity = (bytes.fromhex(row.id), row.request_id.encode(), row.at)
    asked, given = _request(row), _answer(row)
    return Served(
        *identity,
        context,
        asked,
        given,
        (),
        attempts=row.attempts,
        redacted=row.redacted,
        bodies_share=row.bodies_share,
        in_sample=row.bodies_kept == 1,
    )


def _check(row: ImportedLine, known: Known) -> None:
    if not _ID.fullmatch(row.id):
        raise InvalidInput(f"id is {row.id!r} and must be 32 hex digits in lower case")
    _require(row.route, known.routes, noun="route")
    _require(row.arm, known.backends, noun="backend")
    if row.rollout and not known.apart:
        raise InvalidInput(
            f"it fell under rollout {row.rollout}, whose evidence cannot be added to: leave it out, or take it as traffic outside "
            "of rollouts with --outside-rollouts"
        )
    numbers = (row.at, row.table_version, row.latency_us, row.first_byte_us, row.first_event_us, row.attempts, row.status)
    if (
        any(not 0 <= number < 1 << 62 for number in numbers)
        or not 0 <= row.probability <= 10_000
        or row.status > 999
        or not 0 <= row.redacted < 16
        or not 0 <= row.bodies_share <= 10_000
    ):
        raise InvalidInput("a time, count, share or status is below 0 or too large")


def _require(name: str, known: Container[str], *, noun: str) -> None:
    if name not in known:
        raise InvalidInput(f"there is no {noun} {name!r} here: register it first (modelctl {noun} add)")


def _request(row: ImportedLine) -> Request:
    body = _body(row.request_body, row.request_body_base64)
    fields = tuple((name.encode(), value.encode()) for name, value in row.headers.items())
    size = _size(body, row.request_size)
    return Request(
        row.method.encode(), row.target.encode(), row.request_type.encode(), row.request_encoding.encode(), body, size, fields
    )


def _answer(row: ImportedLine) -> Answer:
    body = _body(row.answer_body, row.answer_body_base64)
    size = _size(body, row.answer_size)
    kind, encoding = row.answer_type.encode(), row.answer_encoding.encode()
    times = (row.latency_us, row.first_byte_us)
    return Answer(row.arm, row.status, row.failure, *times, kind, encoding, body, size, row.first_event_us)


def _size(body: bytes, size: int | None) -> int:
    found = len(body) if size is None else size
    if not len(body) <= found < 1 << 62:
        raise InvalidInput(f"a body has {len(body)} bytes and its size says {found}")
    return found


def _body(text: str, base64: str) -> bytes:
    try:
        return b64decode(base64, validate=True) if base64 else text.encode()
    except (Base64Error, ValueError) as error:
        raise InvalidInput(f"a body is no base64: {error}") from None
