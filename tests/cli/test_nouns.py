"""Backends, routes, history, predictions and feedback."""

import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import modelctl as package

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run

CONVERGENCE = {"version": 3, "converged": False, "elapsed_ms": 1.0, "workers": [], "laggards": []}
BACKEND = {
    "name": "fraud-v7",
    "endpoints": ["http://127.0.0.1:8001"],
    "kind": "json",
    "prediction": "/label",
    "prediction_type": "auto",
    "max_inflight": 64,
    "response_timeout_ms": 60_000,
    "revision": 1,
    "convergence": CONVERGENCE,
}
ROUTE = {
    "name": "fraud",
    "path": "/fraud",
    "host": "api.example",
    "unit": "request",
    "baseline": "fraud-v6",
    "capture": {"a": 1},
    "convergence": CONVERGENCE,
}
EVENT = {
    "id": 31,
    "at": 1_700_000_000_000_000,
    "actor": "ada",
    "action": "promote",
    "route": "fraud",
    "rollout": 7,
    "reason": "better",
    "detail": {"baseline_from": "fraud-v6", "baseline_to": "fraud-v7"},
}
PREDICTION = {
    "id": "0" * 32,
    "at": 1_700_000_000_000_000,
    "route": "fraud",
    "request_id": "req-1",
    "arm": "fraud-v7",
    "role": "candidate",
    "reason": "split",
    "status": 200,
    "outcome": "ok",
    "latency_us": 4_200,
    "probability": 500,
    "label": "fraud",
}


def page(*items: object) -> dict[str, Any]:
    return {"items": list(items), "next": None}


def test_adding_a_backend_sends_only_what_was_said(control: "Double", modelctl: "Run") -> None:
    control.answers("POST", "/v1/backends", BACKEND, status=201)
    ran = modelctl("backend", "add", "fraud-v7", "http://127.0.0.1:8001", "http://127.0.0.1:8002", "--prediction", "/label")
    assert control.changes[0].body == {
        "name": "fraud-v7",
        "endpoints": ["http://127.0.0.1:8001", "http://127.0.0.1:8002"],
        "prediction": "/label",
    }
    assert ran.out.startswith("added backend fraud-v7 at http://127.0.0.1:8001, http://127.0.0.1:8002 · next: ")


def test_every_option_of_a_backend_has_its_field(control: "Double", modelctl: "Run") -> None:
    control.answers("POST", "/v1/backends", BACKEND, status=201)
    words = ["--kind", "v2", "--type", "number", "--max-inflight", "8", "-o", "json"]
    assert modelctl("backend", "add", "b", "http://127.0.0.1:1", *words).json == BACKEND
    assert control.changes[0].body == {
        "name": "b",
        "endpoints": ["http://127.0.0.1:1"],
        "kind": "v2",
        "prediction_type": "number",
        "max_inflight": 8,
    }


@pytest.mark.parametrize(
    ("words", "path", "item", "shown"),
    [
        (["backend", "list"], "/v1/backends", BACKEND, ["fraud-v7", "json", "/label"]),
        (["backend", "list", "-o", "wide"], "/v1/backends", BACKEND, ["auto", "64", "60000 ms"]),
        (["route", "list"], "/v1/routes", ROUTE, ["fraud", "api.example/fraud", "fraud-v6"]),
        (["route", "list", "-o", "wide"], "/v1/routes", ROUTE, ["a=1"]),
        (["history"], "/v1/events", EVENT, ["31", "ada", "promote", "fraud · rollout 7 · fraud-v6 -> fraud-v7", "better"]),
        (["history", "-o", "wide"], "/v1/events", EVENT, ['"baseline_to":"fraud-v7"']),
        (["predictions", "fraud"], "/v1/predictions", PREDICTION, ["req-1", "fraud-v7", "ok", "200", "4.2 ms", "fraud"]),
        (["predictions", "fraud", "-o", "wide"], "/v1/predictions", PREDICTION, ["0" * 32, "candidate", "split", "5%"]),
    ],
)
def test_lists_show_what_there_is(
    control: "Double", modelctl: "Run", *, words: list[str], path: str, item: dict[str, Any], shown: list[str]
) -> None:
    control.answers("GET", path, page(item))
    ran = modelctl(*words)
    assert ran.code == 0
    row = ran.out.splitlines()[2]
    for cell in shown:
        assert cell in row


def test_the_history_says_once_what_a_decision_and_the_verb_after_it_say(control: "Double", modelctl: "Run") -> None:
    said = "b is worse: failed answers, 3% against 1%."
    act = {"id": 34, "at": 5, "actor": "controller", "action": "rollback", "rollout": 7, "reason": said}
    decided = act | {"id": 33, "action": "decision", "detail": {"kind": "rollback", "decision": 2}}
    before = decided | {"id": 32, "at": 4, "detail": {"kind": "watch"}}
    other = decided | {"id": 31, "rollout": 8}
    control.answers("GET", "/v1/events", page(act, decided, before, other))
    rows = [line.rstrip().split("  ")[-1].strip() for line in modelctl("history").out.splitlines()[2:6]]
    assert rows == [said, "rollback: the sentence of 34", said, said]


@pytest.mark.parametrize(
    ("words", "path", "item", "name"),
    [
        (["backend", "list"], "/v1/backends", BACKEND, "fraud-v7"),
        (["route", "list"], "/v1/routes", ROUTE, "fraud"),
        (["history"], "/v1/events", EVENT, "31"),
        (["predictions", "fraud"], "/v1/predictions", PREDICTION, "0" * 32),
        (["list"], "/v1/rollouts", {"id": 7, "route": "fraud", "strategy": "ab", "phase": "paused"}, "7"),
    ],
)
def test_lists_are_the_api_object_in_json_and_names_in_lines(
    control: "Double", modelctl: "Run", *, words: list[str], path: str, item: dict[str, Any], name: str
) -> None:
    control.answers("GET", path, page(item))
    assert modelctl(*words, "-o", "json").json == page(item)
    assert modelctl(*words, "-o", "name").out == f"{name}\n"
    assert modelctl(*words, "-o", "yaml").out.startswith('"items":\n  - "')


def test_an_empty_list_is_no_failure(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/backends", page())
    ran = modelctl("backend", "list", "-o", "name")
    assert (ran.code, ran.out) == (0, "")


def test_the_rollouts_list_has_the_time_of_the_end_only_for_ended_ones(control: "Double", modelctl: "Run") -> None:
    rollout = {"id": 7, "route": "fraud", "strategy": "ab", "phase": "paused", "opened_at": 1_700_000_000_000, "closed_at": 0}
    control.answers("GET", "/v1/rollouts", page(rollout))
    row = modelctl("list", "-o", "wide").out.splitlines()[2].split()
    assert row[:4] == ["7", "fraud", "ab", "paused"]
    assert "2023-11-1" in " ".join(row)
    assert row.count("-") >= 1


def test_predictions_are_asked_for_by_arm_and_outcome(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/routes", page(ROUTE))
    control.answers("GET", "/v1/predictions", page())
    assert modelctl("predictions", "--arm", "fraud-v7", "--outcome", "timeout", "--limit", "5").code == 0
    assert control.asked[-1].query == {"route": "fraud", "arm": "fraud-v7", "outcome": "timeout", "limit": "5"}


def test_predictions_of_one_of_several_routes_need_its_name(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/routes", page(ROUTE, ROUTE | {"name": "risk"}))
    ran = modelctl("predictions")
    assert ran.code == 2
    assert "  modelctl predictions risk" in ran.err.splitlines()


@pytest.mark.parametrize("noun", ["backend", "route"])
def test_something_is_removed_only_after_a_yes(
    control: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch, noun: str
) -> None:
    control.answers("DELETE", f"/v1/{noun}s/old", {"convergence": CONVERGENCE})
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    refused = modelctl(noun, "remove", "old")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert control.asked == []
    assert modelctl(noun, "remove", "old", "--yes").out == f"removed {noun} old\n"
    assert control.asked[0].method == "DELETE"


@pytest.mark.parametrize(("answer", "removed"), [("y\n", 1), ("yes\n", 1), ("n\n", 0), ("\n", 0)])
def test_on_a_terminal_the_question_is_asked(
    control: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch, answer: str, removed: int
) -> None:
    control.answers("DELETE", "/v1/routes/old", {"convergence": CONVERGENCE})
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(master, answer.encode())
        ran = modelctl("route", "remove", "old")
    os.close(master)
    assert "Remove route old?" in ran.err
    assert len(control.asked) == removed
    assert ran.code == 1 - removed


def test_adding_a_route_says_who_answers(control: "Double", modelctl: "Run") -> None:
    control.answers("POST", "/v1/routes", ROUTE, status=201)
    words = ["--path", "/fraud", "--backend", "fraud-v6", "--host", "api.example", "--unit", "header:x-user-id"]
    ran = modelctl("route", "add", "fraud", *words)
    assert control.changes[0].body == {
        "name": "fraud",
        "path": "/fraud",
        "baseline": "fraud-v6",
        "unit": "header:x-user-id",
        "host": "api.example",
    }
    assert ran.out.startswith("added route fraud at api.example/fraud · fraud-v6 answers it · next: ")


def test_a_worker_that_refuses_a_new_route_is_a_failure(control: "Double", modelctl: "Run") -> None:
    late = {"worker": "router-1", "version": 2, "reason": "refused table 3: no"}
    control.answers("POST", "/v1/routes", ROUTE | {"convergence": CONVERGENCE | {"laggards": [late]}}, status=201)
    ran = modelctl("route", "add", "fraud", "--path", "/fraud", "--backend", "fraud-v6")
    assert ran.code == 1
    assert "router-1 (table 2) refused table 3: no" in ran.err


@pytest.mark.parametrize(("noun", "item"), [("backend", BACKEND), ("route", ROUTE)])
def test_showing_one_thing_shows_every_field(control: "Double", modelctl: "Run", *, noun: str, item: dict[str, Any]) -> None:
    control.answers("GET", f"/v1/{noun}s/{item['name']}", item)
    ran = modelctl(noun, "show", item["name"])
    assert all(field in ran.out for field in item)
    assert modelctl(noun, "show", item["name"], "-o", "json").json == item


TRIAL = {
    "status": 200,
    "outcome": "ok",
    "failure": "",
    "latency_ms": 3.5,
    "prediction": "fraud",
    "values": [{"label": "fraud"}],
    "problem": "",
    "body_preview": '{"label":"fraud"}',
}


def test_a_sample_is_sent_as_json_when_it_is_json_and_as_text_when_not(
    control: "Double", modelctl: "Run", *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.answers("POST", "/v1/backends/fraud-v7:test", TRIAL)
    sample = tmp_path / "row.json"
    sample.write_text('{"amount": 12}')
    ran = modelctl("backend", "test", "fraud-v7", "--sample", str(sample), "--path", "/predict")
    assert ran.code == 0
    assert control.changes[0].body == {"body": {"amount": 12}, "path": "/predict"}
    assert "fraud" in ran.out
    monkeypatch.setattr(sys, "stdin", io.StringIO("amount,12"))
    modelctl("backend", "test", "fraud-v7", "--sample", "-")
    assert control.changes[1].body == {"text": "amount,12"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"status": 0, "outcome": "backend_error", "failure": "connect"}, "no answer (connect)"),
        ({"status": 500, "outcome": "backend_error"}, "outcome backend_error"),
        ({"problem": "no field /label"}, "no prediction was found in it: no field /label"),
    ],
)
def test_a_backend_that_fails_its_sample_is_a_failure(
    control: "Double", modelctl: "Run", *, tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    control.answers("POST", "/v1/backends/fraud-v7:test", TRIAL | changed)
    (tmp_path / "row.json").write_text("{}")
    ran = modelctl("backend", "test", "fraud-v7", "--sample", "row.json")
    assert ran.code == 1
    assert said in ran.out + ran.err
    assert modelctl("backend", "test", "fraud-v7", "--sample", "row.json", "-o", "json").json == TRIAL | changed


@pytest.mark.parametrize(
    ("text", "value"), [("fraud", "fraud"), ("12.5", 12.5), ("3", 3), ("true", "true"), ("1e3", 1000.0), ("007", "007")]
)
def test_feedback_is_a_number_when_it_is_written_as_one(control: "Double", modelctl: "Run", *, text: str, value: object) -> None:
    control.answers("POST", "/v1/feedback", {"accepted": 1, "duplicates": 0, "unmatched": 0})
    ran = modelctl("feedback", "send", "req-1", text, "--source", "audit", "--replace")
    assert control.changes[0].body == {"request_id": "req-1", "value": value, "source": "audit", "replace": True}
    assert ran.out == "1 accepted · 0 known before · 0 whose request is not recorded\n"


def test_a_file_of_feedback_is_sent_in_batches_of_500_and_summed(control: "Double", modelctl: "Run", *, tmp_path: Path) -> None:
    lines = [json.dumps({"request_id": f"req-{n}", "value": n}) for n in range(1_001)]
    (tmp_path / "labels.ndjson").write_text("\n".join(lines) + "\n\n")
    taken = [{"accepted": n, "duplicates": 0, "unmatched": 1} for n in (499, 499, 0)]
    control.answers("POST", "/v1/feedback", *taken)
    ran = modelctl("feedback", "import", "labels.ndjson", "-o", "json")
    assert [len(asked.body) for asked in control.changes] == [500, 500, 1]
    assert [line["value"] for asked in control.changes for line in asked.body] == list(range(1_001))
    assert ran.json == {"accepted": 998, "duplicates": 0, "unmatched": 3}
    assert ran.err == ""


def test_a_file_with_a_wrong_line_sends_nothing_and_names_the_line(control: "Double", modelctl: "Run", *, tmp_path: Path) -> None:
    (tmp_path / "labels.ndjson").write_text('{"request_id": "a", "value": 1}\n{"request_id": "b"}\nnonsense\n')
    ran = modelctl("feedback", "import", "labels.ndjson")
    assert ran.code == 2
    assert "2 of its lines are wrong: line 2:" in ran.err
    assert "line 3:" in ran.err
    assert control.asked == []


def test_on_a_terminal_an_import_shows_its_progress_beside_the_data(control: "Double", tmp_path: Path) -> None:
    control.answers("POST", "/v1/feedback", {"accepted": 1, "duplicates": 0, "unmatched": 0})
    (tmp_path / "labels.ndjson").write_text('{"request_id": "a", "value": 1}')
    environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1]), "TERM": "xterm"}
    command = [sys.executable, "-m", "modelctl", "feedback", "import", "labels.ndjson"]
    master, slave = pty.openpty()
    ran = subprocess.run(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=slave, check=True)
    os.close(slave)
    shown = os.read(master, 10_000)
    os.close(master)
    assert b"100%" in shown
    assert ran.stdout == "1 accepted · 0 known before · 0 whose request is not recorded\n".encode()
