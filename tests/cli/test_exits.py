"""Every way to leave the program: its exit code, one sentence on stderr, nothing on stdout."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import modelctl as package
from modelctl.cli.exits import EXITS, rule_for
from modelctl.errors import InvalidTable, NotFound

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run

ROUTES = {"items": [{"name": "fraud", "path": "/fraud", "baseline": "fraud-v6"}], "next": None}
BACKENDS = {"items": [{"name": name, "endpoints": ["http://127.0.0.1:1"]} for name in ("fraud-v6", "fraud-v7")], "next": None}


def program(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """The program as a process of its own."""
    root = str(Path(package.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-m", "modelctl", *arguments],
        env={**os.environ, "PYTHONPATH": root, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_done_is_0(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/routes", ROUTES)
    assert modelctl("route", "list").code == 0


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("invalid-input", 2),
        ("ambiguous", 2),
        ("not-found", 1),
        ("not-authorised", 4),
        ("conflict", 5),
        ("illegal-move", 5),
        ("stale-revision", 5),
        ("store-error", 1),
        ("schema-outdated", 1),
    ],
)
def test_each_problem_of_the_control_plane_has_its_exit_code(
    control: "Double", modelctl: "Run", *, code: str, exit_code: int
) -> None:
    control.refuses("GET", "/v1/routes", code=code, detail="This is why.")
    ran = modelctl("route", "list", "-o", "json")
    assert ran.code == exit_code
    assert ran.err.splitlines()[0] == "error: This is why."
    assert ran.out == ""


@pytest.mark.parametrize(
    ("status", "exit_code"), [(400, 2), (401, 4), (403, 4), (404, 1), (409, 5), (412, 5), (418, 1), (500, 1), (307, 1)]
)
def test_an_answer_that_is_no_problem_document_is_judged_by_its_status(
    control: "Double", modelctl: "Run", *, status: int, exit_code: int
) -> None:
    control.answers("GET", "/v1/routes", b"<html>no</html>", status=status)
    ran = modelctl("route", "list")
    assert ran.code == exit_code
    assert ran.err.startswith(f"error: the control plane answered {status}")


def test_an_answer_that_is_not_json_is_a_failure_that_names_the_address(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/routes", b"<html>hello</html>")
    ran = modelctl("route", "list")
    assert ran.code == 1
    assert "is this a modelctl control plane?" in ran.err


def test_an_answer_of_another_shape_is_a_failure_and_no_traceback(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/routes", {"items": [{"unheard": "of"}]})
    ran = modelctl("route", "list")
    assert ran.code == 1
    assert "other versions" in ran.err
    assert "Traceback" not in ran.err


def test_a_control_plane_that_is_gone_is_6_with_a_hint(control: "Double", modelctl: "Run") -> None:
    ran = modelctl("status", "--url", "http://127.0.0.1:1")
    assert ran.code == 6
    assert ran.err.splitlines()[0].startswith("error: the control plane at http://127.0.0.1:1 does not answer")
    assert "modelctl serve" in ran.err


def test_a_missing_key_is_4_and_the_hint_names_the_variable(control: "Double", modelctl: "Run") -> None:
    control.refuses("GET", "/v1/status", code="not-authorised", detail="No key.")
    ran = modelctl("status")
    assert ran.code == 4
    assert "hint: set MODELCTL_KEY" in ran.err


def test_the_key_and_the_actor_are_sent(control: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELCTL_KEY", "a-key-of-sixteen-characters")
    monkeypatch.setenv("LOGNAME", "ada")
    control.answers("GET", "/v1/routes", ROUTES)
    modelctl("route", "list")
    assert control.asked[0].headers["authorization"] == "Bearer a-key-of-sixteen-characters"
    assert control.asked[0].headers["modelctl-actor"] == "ada"


def test_a_key_that_cannot_be_sent_is_a_usage_error(control: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELCTL_KEY", "key with spaces")
    assert modelctl("status").code == 2
    assert control.asked == []


@pytest.mark.parametrize("url", ["127.0.0.1:8900", "ftp://x", "http://", "http://[::1", "", "http://a:port"])
def test_a_url_that_is_none_is_a_usage_error(modelctl: "Run", url: str) -> None:
    ran = modelctl("status", "--url", url)
    assert ran.code == 2
    assert "http://127.0.0.1:8900" in ran.err


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    control: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    control.answers("GET", "/v1/routes", ROUTES)
    assert modelctl("route", "list").code == 0


def test_a_usage_error_is_2_and_asks_for_nothing(control: "Double", modelctl: "Run") -> None:
    for wrong in (
        ["canary"],
        ["canary", "--percent", "5x"],
        ["canary", "--percent", "0.001"],
        ["canary", "--percent", "5", "--steps", "5,101"],
        ["canary", "a", "b", "c", "--percent", "5"],
        ["shadow", "--percent", "-1"],
        ["ab", "fraud"],
        ["ab", "fraud-v6=50"],
        ["ab", "fraud-v6=50", "fraud-v7=40"],
        ["backend", "add", "fraud-v7"],
        ["backend", "add"],
        ["backend", "test", "fraud-v7", "--sample", "no-such-file.json"],
        ["backend", "remove", "fraud-v7"],
        ["route", "add", "fraud"],
        ["route", "remove", "fraud"],
        ["status", "--wait", "finished"],
        ["status", "--wait", "promoted", "--timeout", "soon"],
        ["status", "-w", "-o", "json"],
        ["status", "-o", "xml"],
        ["rollback", "--to", "yesterday"],
        ["predictions", "--limit", "0"],
        ["feedback", "import", "no-such-file.ndjson"],
        ["serve", "--workers", "none"],
        ["serve", "--listen", "nowhere"],
    ):
        ran = modelctl(*wrong)
        assert ran.code == 2, wrong
        assert ran.out == "", wrong
        assert ran.err, wrong
    assert control.asked == []


def test_each_wrong_setting_has_a_line_of_its_own(modelctl: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELCTL_DATABASE", "mysql://x")
    ran = modelctl("serve", "--workers", "0", "--control", "0.0.0.0:8900")
    assert ran.code == 2
    assert [line.split(":")[1].strip() for line in ran.err.splitlines() if line.startswith("error:")] == [
        "--workers",
        "MODELCTL_DATABASE",
        "control",
    ]


def test_ctrl_c_is_130(control: "Double") -> None:
    control.answers("GET", "/v1/routes", ROUTES)
    rollout = {"id": 1, "route": "fraud", "strategy": "shadow", "phase": "progressing"}
    control.answers("GET", "/v1/rollouts", {"items": [rollout], "next": None})
    control.answers("GET", "/v1/rollouts/1", rollout)
    process = program("status", "--wait", "promoted", MODELCTL_URL=control.url)
    while not any(asked.path == "/v1/rollouts/1" for asked in control.asked):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err


def test_the_table_of_exits_lists_a_class_before_the_classes_it_inherits_from() -> None:
    for later, rule in enumerate(EXITS):
        for earlier in EXITS[:later]:
            assert not issubclass(rule.error, earlier.error), f"{rule.error.__name__} is never reached"
    assert rule_for(InvalidTable("x")).exit == 2
    assert rule_for(NotFound("x")).exit == 1


def test_the_client_starts_without_the_libraries_of_the_servers() -> None:
    names = ["scipy", "numpy", "sqlalchemy", "alembic", "starlette", "uvicorn", "uvloop"]
    check = f"import sys, modelctl.cli; print([name for name in {names} if name in sys.modules])"
    root = str(Path(package.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", check], env={**os.environ, "PYTHONPATH": root}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[]"


def test_the_version_is_said_by_the_flag_and_the_command(modelctl: "Run") -> None:
    assert modelctl("--version").out == modelctl("version").out == f"modelctl {package.__version__}\n"
