"""Exported predictions as CloudEvents 1.0, one for the request and one for the answer, as KServe's logger names them.

Structured mode: each event is one JSON object on a line. Both have the prediction's id and differ in their `type`; `data` is the
JSON of a body that is JSON and was recorded whole, its text when it is text, and else `data_base64` (CloudEvents JSON format 3.1).
"""

from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

REQUEST = "org.kubeflow.serving.inference.request"
RESPONSE = "org.kubeflow.serving.inference.response"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_encode = msgspec.json.Encoder().encode


class Exported(msgspec.Struct, frozen=True):
    """What an event is made of: fields of an exported line."""

    id: str
    request_id: str
    at: int
    route: str
    rollout: int
    arm: str
    status: int
    latency_us: int
    request_type: str = ""
    request_encoding: str = ""
    request_body: str = ""
    request_body_base64: str = ""
    request_size: int = 0
    answer_type: str = ""
    answer_encoding: str = ""
    answer_body: str = ""
    answer_body_base64: str = ""
    answer_size: int = 0


class Message(msgspec.Struct, frozen=True):
    """A recorded body: a prefix of `size` bytes."""

    content_type: str
    encoding: str
    body: bytes
    size: int


_read = msgspec.json.Decoder(Exported).decode


def cloud_events(line: bytes) -> bytes:
    """The two events of an exported prediction, a line each."""
    row = _read(line)
    request = Message(row.request_type, row.request_encoding, _bytes(row.request_body, row.request_body_base64), row.request_size)
    answer = Message(row.answer_type, row.answer_encoding, _bytes(row.answer_body, row.answer_body_base64), row.answer_size)
    asked = _event(row, REQUEST, at=row.at, message=request)
    given = _event(row, RESPONSE, at=row.at + row.latency_us, message=answer) | {"status": row.status}
    return _encode(asked) + b"\n" + _encode(given) + b"\n"


def _event(row: Exported, kind: str, *, at: int, message: Message) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": row.id,
        "source": f"/modelctl/routes/{row.route}",
        "type": kind,
        "time": (_EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z"),
        "inferenceservicename": row.route,
        "component": row.arm,
        "requestid": row.request_id,
        "rollout": str(row.rollout),
    }
    event |= {"datacontenttype": message.content_type} if message.content_type else {}
    event |= {"contentencoding": message.encoding} if message.encoding else {}
    truncated = {"truncated": True} if len(message.body) < message.size else {}
    return event | truncated | (_data(message) if message.size else {})


def _data(message: Message) -> dict[str, Any]:
    media = message.content_type.partition(";")[0].strip().lower()
    plain = not message.encoding and len(message.body) >= message.size
    if plain and (media.endswith(("/json", "+json")) or not media):
        try:
            return {"data": msgspec.Raw(msgspec.json.format(message.body, indent=-1))}
        except msgspec.DecodeError:
            return _binary(message)
    if plain and media.startswith("text/"):
        try:
            return {"data": message.body.decode()}
        except UnicodeDecodeError:
            return _binary(message)
    return _binary(message)


def _binary(message: Message) -> dict[str, Any]:
    return {"data_base64": b64encode(message.body).decode()}


def _bytes(text: str, base64: str) -> bytes:
    return b64decode(base64) if base64 else text.encode()
