"""Policies of backends and routes as people set and see them."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run

CONVERGENCE = {"version": 3, "converged": True, "elapsed_ms": 1.0, "workers": [{"worker": "router-1"}], "laggards": []}
ANSWER = {"name": "x", "revision": 2, "convergence": CONVERGENCE}
URL = "http://127.0.0.1:8001"


def added(control: "Double", modelctl: "Run", *words: str) -> dict[str, Any]:
    """The body that `backend add` sends beside the name and URL."""
    control.answers("POST", "/v1/backends", ANSWER, status=201)
    ran = modelctl("backend", "add", "x", URL, *words)
    assert ran.code == 0, ran.err
    body: dict[str, Any] = dict(control.changes[-1].body)
    assert (body.pop("name"), body.pop("endpoints")) == ("x", [URL])
    return body


def changed(control: "Double", modelctl: "Run", *words: str, noun: str = "backend") -> dict[str, Any]:
    """The body that `set` sends."""
    control.answers("PATCH", f"/v1/{noun}s/x", ANSWER)
    ran = modelctl(noun, "set", "x", *words)
    assert ran.code == 0, ran.err
    body: dict[str, Any] = control.changes[-1].body
    return body


BACKEND_OPTIONS: list[tuple[list[str], dict[str, Any]]] = [
    (["--timeout", "1m30s", "--connect-timeout", "500ms"], {"response_timeout_ms": 90_000, "connect_timeout_ms": 500}),
    (["--slow-start", "0s", "--max-pending", "7"], {"slow_start_ms": 0, "max_pending": 7}),
    (["--host", "endpoint", "--idempotent"], {"host": "endpoint", "idempotent": True}),
    (["--no-idempotent"], {"idempotent": False}),
    (["--ca", "/ca.pem", "--server-name", "model.test"], {"tls": {"ca": "/ca.pem", "server_name": "model.test"}}),
    (["--client-certificate", "/c.pem", "--client-key", "/k.pem"], {"tls": {"certificate": "/c.pem", "key": "/k.pem"}}),
    (["--verify"], {"tls": {"verify": True}}),
    (["--health", "/ready"], {"health": {"path": "/ready"}, "checked": True}),
    (["--no-health"], {"checked": False}),
    (["--retry-on", "reset, 503", "--attempts", "3"], {"retries": {"on": ["reset", "503"], "attempts": 3}}),
    (["--no-retries"], {"retries": None}),
    (["--eject"], {"ejection": {}}),
    (["--no-eject"], {"ejection": None}),
]


@pytest.mark.parametrize(("words", "body"), BACKEND_OPTIONS)
def test_every_policy_of_a_backend_is_an_option_of_add_and_of_set(
    control: "Double", modelctl: "Run", *, words: list[str], body: dict[str, Any]
) -> None:
    assert added(control, modelctl, *words) == body
    assert changed(control, modelctl, *words) == body


def test_a_backend_moves_to_other_urls(control: "Double", modelctl: "Run") -> None:
    assert changed(control, modelctl, "http://a.test:1", "http://a.test:2") == {"endpoints": ["http://a.test:1", "http://a.test:2"]}


def test_a_field_goes_back_to_its_default_by_its_name(control: "Double", modelctl: "Run") -> None:
    assert changed(control, modelctl, "--reset", "retries", "--reset", "tls.ca", "--server-name", "m.test") == {
        "retries": None,
        "tls": {"server_name": "m.test", "ca": None},
    }
    assert changed(control, modelctl, "--reset", "health") == {"health": None, "checked": None}


def test_a_change_says_what_it_changed_and_where_it_is_live(control: "Double", modelctl: "Run") -> None:
    control.answers("PATCH", "/v1/backends/x", ANSWER)
    ran = modelctl("backend", "set", "x", "--health", "/ready", "--no-retries")
    assert ran.out == "changed health.path, checked, retries of backend x · table 3 live on 1 of 1 workers after 1.0 ms\n"
    assert modelctl("backend", "set", "x", "--no-retries", "-o", "json").json == ANSWER
    assert modelctl("backend", "set", "x", "--no-retries", "-o", "name").out == "x\n"


def test_a_worker_that_does_not_take_a_change_is_a_failure(control: "Double", modelctl: "Run") -> None:
    late = CONVERGENCE | {"converged": False, "laggards": [{"worker": "router-2", "version": 2, "reason": "does not answer"}]}
    control.answers("PATCH", "/v1/routes/x", ANSWER | {"convergence": late})
    ran = modelctl("route", "set", "x", "--breaker")
    assert ran.code == 1
    assert "router-2 (table 2) does not answer" in ran.err


@pytest.mark.parametrize("verb", [["add", "x", URL], ["set", "x"]])
def test_certificates_that_are_not_verified_are_said_aloud(control: "Double", modelctl: "Run", verb: list[str]) -> None:
    control.answers("POST", "/v1/backends", ANSWER, status=201)
    control.answers("PATCH", "/v1/backends/x", ANSWER)
    ran = modelctl("backend", *verb, "--no-verify")
    assert control.changes[-1].body["tls"] == {"verify": False}
    assert "certificates of x are not verified: whoever stands on the way" in ran.err
    assert "not verified" not in modelctl("backend", *verb, "--verify").err


ROUTE_OPTIONS: list[tuple[list[str], dict[str, Any]]] = [
    (["--deny", "/admin", "--deny", "/metrics"], {"admission": {"deny": ["/admin", "/metrics"]}}),
    (["--allow-encoded", "2f", "--allow-encoded", "25"], {"admission": {"encoded": ["2f", "25"]}}),
    (["--max-body", "10MiB"], {"admission": {"body_bytes": 10 << 20}}),
    (["--rate", "100/60s"], {"admission": {"rate": {"requests": 100, "seconds": 60}}}),
    (["--rate", "5/s", "--rate-by", "key"], {"admission": {"rate": {"requests": 5, "seconds": 1, "by": "key"}}}),
    (["--breaker"], {"breaker": {}}),
    (["--no-breaker"], {"breaker": None}),
    (["--no-arm-header"], {"capture": {"arm_header": False}}),
    (["--arm-header"], {"capture": {"arm_header": True}}),
    (
        ["--request-bytes", "0", "--answer-bytes", "128KiB", "--shadow-bytes", "2MiB"],
        {"capture": {"request_bytes": 0, "answer_bytes": 128 << 10, "shadow_bytes": 2 << 20}},
    ),
    (["--host", "api.test", "--unit", "header:x-user"], {"host": "api.test", "unit": "header:x-user"}),
]


@pytest.mark.parametrize(("words", "body"), ROUTE_OPTIONS)
def test_every_policy_of_a_route_is_an_option_of_add_and_of_set(
    control: "Double", modelctl: "Run", *, words: list[str], body: dict[str, Any]
) -> None:
    control.answers("POST", "/v1/routes", ANSWER, status=201)
    assert modelctl("route", "add", "x", "--path", "/x", "--backend", "a", *words).code == 0
    assert control.changes[-1].body == {"name": "x", "path": "/x", "baseline": "a"} | body
    assert changed(control, modelctl, *words, noun="route") == body


def test_a_route_moves_and_its_rate_limit_goes(control: "Double", modelctl: "Run") -> None:
    body = changed(control, modelctl, "--path", "/new", "--reset", "admission.rate", "--deny", "/a", noun="route")
    assert body == {"path": "/new", "admission": {"deny": ["/a"], "rate": None}}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["backend", "set", "x"], "say what to change"),
        (["route", "set", "x"], "say what to change"),
        (["backend", "set", "x", "--health", "/a", "--no-health"], "contradict each other"),
        (["backend", "set", "x", "--retry-on", "reset", "--no-retries"], "--no-retries contradicts"),
        (["backend", "set", "x", "--retry-on", "500"], "one or more of reset, timeout, 502, 503, 504"),
        (["backend", "set", "x", "--retry-on", ","], "one or more of reset"),
        (["backend", "set", "x", "--timeout", "soon"], "is no duration"),
        (["backend", "set", "x", "--host", "nobody"], "--host"),
        (["backend", "set", "x", "--kind", "v2", "--reset", "kind"], "kind is both set and reset"),
        (["backend", "set", "x", "--ca", "/ca.pem", "--reset", "tls"], "tls is both set and reset"),
        (["backend", "set", "x", "--reset", "tls", "--reset", "tls.ca"], "tls is both set and reset"),
        (["route", "set", "x", "--max-body", "10 MB"], "is no size"),
        (["route", "set", "x", "--rate", "fast"], "is no rate"),
        (["route", "set", "x", "--allow-encoded", "2e"], "--allow-encoded"),
        (["route", "set", "x", "--reset", "admission"], "open route x to everybody"),
        (["route", "set", "x", "--reset", "admission.keys"], "open route x to everybody"),
    ],
)
def test_a_policy_that_makes_no_sense_is_a_usage_error_and_nothing_is_sent(
    control: "Double", modelctl: "Run", *, words: list[str], said: str
) -> None:
    ran = modelctl(*words)
    assert ran.code == 2
    assert said in ran.err
    assert control.asked == []


def test_showing_a_backend_says_what_its_policies_mean(control: "Double", modelctl: "Run") -> None:
    shown = ANSWER | {
        "slow_start_ms": 10_000,
        "idempotent": False,
        "tls": {"ca": "", "verify": False},
        "health": None,
        "checks": {"path": "/v2/health/ready", "interval_ms": 2_000},
        "ejection": {"base_ms": 30_000, "consecutive": 5},
        "retries": None,
    }
    control.answers("GET", "/v1/backends/x", shown)
    lines = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in modelctl("backend", "show", "x").out.splitlines()[2:]}
    assert lines["slow_start_ms"] == "10000 (10s)"
    assert lines["idempotent"] == "no"
    assert lines["tls.ca"] == "the system's authorities"
    assert lines["tls.verify"] == "NO: any certificate is trusted"
    assert lines["health"] == "as its kind asks for"
    assert lines["checks.path"] == "/v2/health/ready"
    assert lines["ejection.base_ms"] == "30000 (30s)"
    assert lines["retries"] == "off"


def test_showing_a_route_names_its_keys_and_not_their_hashes(control: "Double", modelctl: "Run") -> None:
    admission = {"keys": [{"name": "app", "sha256": "f" * 64}], "rate": None, "body_bytes": 10 << 20, "deny": ["/a", "/b"]}
    control.answers("GET", "/v1/routes/x", ANSWER | {"admission": admission, "breaker": None, "capture": {"arm_header": True}})
    out = modelctl("route", "show", "x").out
    lines = {line.split()[0]: line.split(maxsplit=1)[1].strip() for line in out.splitlines()[2:]}
    assert "ffff" not in out
    assert lines["admission.keys"] == "app"
    assert lines["admission.rate"] == "no limit"
    assert lines["admission.body_bytes"] == "10485760 (10MiB)"
    assert lines["admission.deny"] == "/a, /b"
    assert lines["breaker"] == "off"
    control.answers("GET", "/v1/routes/x", ANSWER | {"admission": admission | {"keys": [], "body_bytes": 0}})
    assert "everybody may ask" in modelctl("route", "show", "x").out


def test_the_history_names_the_fields_that_changed(control: "Double", modelctl: "Run") -> None:
    detail = {"tls.verify": {"from": True, "to": False}, "retries": {"from": None, "to": {"attempts": 2}}}
    event = {"id": 3, "at": 1_700_000_000_000_000, "actor": "ada", "action": "change-backend", "backend": "x", "detail": detail}
    control.answers("GET", "/v1/events", {"items": [event], "next": None})
    assert "x · tls.verify, retries" in modelctl("history").out


def test_predictions_tell_how_often_they_were_asked_for_and_when_the_first_event_came(control: "Double", modelctl: "Run") -> None:
    row = {
        "id": "1",
        "at": 1,
        "route": "x",
        "arm": "a",
        "outcome": "ok",
        "first_byte_us": 1_500,
        "first_event_us": 0,
        "attempts": 2,
    }
    control.answers("GET", "/v1/predictions", {"items": [row], "next": None})
    header, _, line = modelctl("predictions", "x", "-o", "wide").out.splitlines()
    assert header.split("  ")[-1].strip() == "ATTEMPTS"
    assert line.split()[-4:] == ["1.5", "ms", "-", "2"]
    assert "ATTEMPTS" not in modelctl("predictions", "x").out
