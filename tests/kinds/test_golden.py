"""What the kinds make of the recorded answers of real model servers."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from modelctl.evidence import Answer
from modelctl.kinds import Value, kind_named
from modelctl.traffic import Backend

GOLDEN: list[dict[str, Any]] = json.loads(Path(__file__).with_name("golden.json").read_text(encoding="utf-8"))["answers"]
CASES = [
    pytest.param(recorded, expected, id=f"{recorded['server']}-{recorded['name']}-{expected['kind']}{expected['prediction']}")
    for recorded in GOLDEN
    for expected in recorded["expected"]
]


def recorded_answer(recorded: dict[str, Any]) -> Answer:
    raw = base64.b64decode(recorded["body"]) if recorded["body_encoding"] == "base64" else recorded["body"].encode()
    return Answer(
        backend="m",
        status=recorded["status"],
        failure="",
        latency=900,
        first_byte=800,
        content_type=recorded["content_type"].encode(),
        encoding=recorded["encoding"].encode(),
        body=raw,
        size=len(raw),
    )


@pytest.mark.parametrize(("recorded", "expected"), CASES)
def test_a_real_answer_is_judged_and_read(recorded: dict[str, Any], expected: dict[str, Any]) -> None:
    answer = recorded_answer(recorded)
    backend = Backend(name="m", endpoints=("http://127.0.0.1:8001",), kind=expected["kind"], prediction=expected["prediction"])
    kind = kind_named(backend.kind)
    assert kind.outcome(answer) == expected["outcome"]
    extraction = kind.extract(answer, backend)
    if "problem" in expected:
        assert extraction.values == ()
        assert expected["problem"] in extraction.problem
    else:
        assert extraction.problem == ""
        assert extraction.values == tuple(Value(**value) for value in expected["values"])
