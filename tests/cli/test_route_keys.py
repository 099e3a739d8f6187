"""Keys of routes: made here, shown once, known to the control plane by their hash alone."""

import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run

CONVERGENCE = {"version": 3, "converged": True, "elapsed_ms": 1.0, "workers": [{"worker": "router-1"}], "laggards": []}
ANSWER = {"name": "fraud", "revision": 8, "convergence": CONVERGENCE}
KEY = re.compile(r"mk_[A-Za-z0-9_-]{43}")


def stock(control: "Double", *names: str) -> list[dict[str, str]]:
    """The route fraud at revision 7 with these keys."""
    keys = [{"name": name, "sha256": hashlib.sha256(name.encode()).hexdigest()} for name in names]
    route: dict[str, Any] = {"name": "fraud", "revision": 7, "admission": {"keys": keys, "deny": ["/admin"]}}
    control.answers("GET", "/v1/routes/fraud", route)
    control.answers("PATCH", "/v1/routes/fraud", ANSWER)
    return keys


def test_a_new_key_is_printed_once_and_only_its_hash_is_sent(control: "Double", modelctl: "Run") -> None:
    before = stock(control, "batch")
    ran = modelctl("route", "key", "add", "fraud", "app")
    key = ran.out.strip()
    assert ran.code == 0
    assert KEY.fullmatch(key)
    (sent,) = control.changes
    assert sent.method == "PATCH"
    assert sent.body == {"admission": {"keys": [*before, {"name": "app", "sha256": hashlib.sha256(key.encode()).hexdigest()}]}}
    assert sent.headers["if-match"] == '"7"'
    assert "only time the key app of route fraud is shown" in ran.err
    assert key not in ran.err
    assert all(key not in str(asked) for asked in control.asked)


def test_keys_are_never_the_same_and_hold_256_bits(control: "Double", modelctl: "Run") -> None:
    stock(control)
    keys = {modelctl("route", "key", "add", "fraud", "app").out.strip() for _ in range(20)}
    assert len(keys) == 20
    assert {len(base64.urlsafe_b64decode(key.removeprefix("mk_") + "=")) for key in keys} == {32}


def test_a_program_gets_the_key_with_its_name_and_hash(control: "Double", modelctl: "Run") -> None:
    stock(control)
    found = modelctl("route", "key", "add", "fraud", "app", "-o", "json").json
    assert (found["route"], found["name"]) == ("fraud", "app")
    assert found["sha256"] == hashlib.sha256(found["key"].encode()).hexdigest()


def test_a_name_that_has_a_key_gets_no_second_one(control: "Double", modelctl: "Run") -> None:
    stock(control, "app")
    ran = modelctl("route", "key", "add", "fraud", "app")
    assert (ran.code, ran.out, control.changes) == (5, "", [])
    assert "modelctl route key revoke fraud app" in ran.err


@pytest.mark.parametrize("words", [["add", "fraud", "third"], ["revoke", "fraud", "app", "--yes"]])
def test_somebody_elses_change_in_between_is_not_undone(control: "Double", modelctl: "Run", words: list[str]) -> None:
    stock(control, "app", "batch")
    control.refuses("PATCH", "/v1/routes/fraud", code="stale-revision", detail="route 'fraud' is at revision 8")
    ran = modelctl("route", "key", *words)
    assert (ran.code, ran.out) == (5, "")
    assert "revision 8" in ran.err


def test_keys_are_listed_by_name_and_hash(control: "Double", modelctl: "Run") -> None:
    app, batch = stock(control, "app", "batch")
    assert modelctl("route", "key", "list", "fraud", "-o", "name").out == "app\nbatch\n"
    assert modelctl("route", "key", "list", "fraud", "-o", "json").json == {"items": [app, batch]}
    row = modelctl("route", "key", "list", "fraud").out.splitlines()[2]
    assert row.split() == ["app", app["sha256"][:12]]
    assert app["sha256"] in modelctl("route", "key", "list", "fraud", "-o", "wide").out


def test_a_route_without_keys_has_an_empty_list(control: "Double", modelctl: "Run") -> None:
    stock(control)
    assert modelctl("route", "key", "list", "fraud").code == 0


def test_a_key_is_taken_back_after_a_yes(control: "Double", modelctl: "Run") -> None:
    _, batch = stock(control, "app", "batch")
    assert modelctl("route", "key", "revoke", "fraud", "app").code == 2
    assert control.changes == []
    ran = modelctl("route", "key", "revoke", "fraud", "app", "--yes")
    assert ran.out.startswith("revoked key app of route fraud · table 3 live")
    assert control.changes[0].body == {"admission": {"keys": [batch]}}
    assert control.changes[0].headers["if-match"] == '"7"'


def test_the_last_key_is_not_taken_back_by_accident(control: "Double", modelctl: "Run") -> None:
    stock(control, "app")
    refused = modelctl("route", "key", "revoke", "fraud", "app", "--yes")
    assert (refused.code, control.changes) == (5, [])
    assert "  modelctl route key revoke fraud app --open" in refused.err.splitlines()
    ran = modelctl("route", "key", "revoke", "fraud", "app", "--yes", "--open")
    assert "everybody may ask now" in ran.out
    assert control.changes[0].body == {"admission": {"keys": []}}


def test_a_key_that_is_not_there_is_not_revoked_and_those_there_are_named(control: "Double", modelctl: "Run") -> None:
    stock(control, "app", "batch")
    ran = modelctl("route", "key", "revoke", "fraud", "apq", "--yes")
    assert (ran.code, control.changes) == (1, [])
    assert "it has app, batch" in ran.err
