"""Builders for the tests of this folder."""

import json

from modelctl.evidence import Answer
from modelctl.kinds import Extraction, kind_named
from modelctl.traffic import Backend, PredictionType


def answer(body: bytes = b"", *, status: int = 200, failure: str = "", encoding: bytes = b"", size: int = -1) -> Answer:
    return Answer(
        backend="m",
        status=status,
        failure=failure,
        latency=900,
        first_byte=800,
        content_type=b"application/json",
        encoding=encoding,
        body=body,
        size=len(body) if size < 0 else size,
    )


def backend(kind: str = "json", prediction: str = "", *, wanted: str = "auto") -> Backend:
    return Backend(
        name="m",
        endpoints=("http://127.0.0.1:8001",),
        kind=kind,
        prediction=prediction,
        prediction_type=PredictionType(wanted),
    )


def extract(document: object, kind: str = "json", *, prediction: str = "", wanted: str = "auto") -> Extraction:
    """What `kind` finds in an answer whose body is `document` as JSON, or is the bytes themselves."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return kind_named(kind).extract(answer(body), backend(kind, prediction, wanted=wanted))
