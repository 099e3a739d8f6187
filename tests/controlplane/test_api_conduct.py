"""What keeps traffic where it is, over HTTP: closed gates, freezes, approvals; and what was decided."""

import re

import httpx
import pytest

GATES = ["error_rate:guardrail:margin=2pt"]


@pytest.fixture
def started(api: httpx.Client) -> int:
    """An open canary with a gate and an approval."""
    for name in ("a", "b"):
        api.post("/v1/backends", json={"name": name, "endpoints": [f"http://{name}.test:8000"]}).raise_for_status()
    api.post("/v1/routes", json={"name": "fraud", "path": "/fraud", "baseline": "a"}).raise_for_status()
    order = {
        "strategy": "canary",
        "route": "fraud",
        "candidates": ["b"],
        "parameters": {"percent_bp": 500, "steps_bp": [500, 5000]},
        "gates": GATES,
        "conduct": {"mode": "advise", "approvals": 1},
        "actor": "ann",
    }
    found = api.post("/v1/rollouts", json=order)
    assert found.status_code == 201, found.text
    return int(found.json()["rollout"]["id"])


def test_a_closed_gate_is_a_conflict_that_names_the_way_on(api: httpx.Client, started: int) -> None:
    refused = api.post(f"/v1/rollouts/{started}:advance", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "gate-not-passed")
    assert "modelctl advance fraud --force --reason WHY" in refused.json()["commands"]
    speechless = api.post(f"/v1/rollouts/{started}:advance", json={"force": True})
    assert (speechless.status_code, speechless.json()["code"]) == (422, "invalid-input")
    forced = api.post(f"/v1/rollouts/{started}:advance", json={"force": True, "reason": "tested elsewhere"})
    assert forced.json()["rollout"]["step"] == 1


def test_a_freeze_is_declared_listed_and_removed(api: httpx.Client, started: int) -> None:
    weekly = {"days": ["fri"], "start": "16:00", "minutes": 3840, "zone": "Europe/Berlin"}
    made = api.post("/v1/freezes", json={"weekly": weekly, "reason": "weekends", "actor": "ann"})
    assert (made.status_code, made.json()["weekly"], made.json()["actor"]) == (201, weekly, "ann")
    whole = api.post("/v1/freezes", json={"route": "fraud"}).json()
    assert [one["id"] for one in api.get("/v1/freezes").json()["items"]] == [made.json()["id"], whole["id"]]
    refused = api.post(f"/v1/rollouts/{started}:promote", json={})
    # On some days the weekly one holds as well, and is named first.
    assert re.search(r"Freeze \d of (route 'fraud'|all routes) holds", refused.json()["detail"])
    for one in (made.json(), whole):
        assert api.post(f"/v1/freezes/{one['id']}:remove", json={}).status_code == 200
    assert api.get("/v1/freezes").json()["items"] == []
    assert api.post(f"/v1/freezes/{whole['id']}:remove", json={}).status_code == 404


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"weekly": {"days": ["fri"], "start": "16:00", "minutes": 60, "zone": "Mars/Olympus"}}, "no time zone 'Mars/Olympus'"),
        ({"weekly": {"days": ["friday"], "start": "16:00", "minutes": 60}}, "the days of a freeze"),
        ({"until_at": 1000}, "its end lies in the past"),
        ({"from_at": 9, "until_at": 3}, "must lie behind"),
    ],
)
def test_a_freeze_that_cannot_be_is_refused(api: httpx.Client, body: dict[str, object], sentence: str) -> None:
    refused = api.post("/v1/freezes", json=body)
    assert refused.status_code == 422
    assert sentence in refused.json()["detail"]


def test_a_freeze_of_a_route_that_is_not_there_is_refused(api: httpx.Client) -> None:
    assert api.post("/v1/freezes", json={"route": "nowhere"}).status_code == 404


def test_an_approval_is_somebody_elses(api: httpx.Client, started: int) -> None:
    own = api.post(f"/v1/rollouts/{started}:approve", json={"actor": "ann"})
    assert (own.status_code, own.json()["code"]) == (422, "invalid-input")
    agreed = api.post(f"/v1/rollouts/{started}:approve", json={"actor": "bob", "reason": "looked at it"})
    assert [(one["actor"], one["reason"]) for one in agreed.json()["approvals"]] == [("bob", "looked at it")]
    api.post(f"/v1/rollouts/{started}:rollback", json={}).raise_for_status()
    assert api.post(f"/v1/rollouts/{started}:approve", json={"actor": "carl"}).status_code == 409


def test_the_status_says_what_is_next_and_what_it_waits_for(api: httpx.Client, started: int) -> None:
    (route,) = api.get("/v1/status").json()["routes"]
    found = route["rollout"]["next"]
    assert (found["kind"], found["mode"], found["verb"]) == ("advance:1", "advise", "")
    assert [block["barrier"] for block in found["blocked_by"]] == ["gate", "mode"]
    assert found["command"] == "modelctl advance fraud --force --reason WHY"
    assert found["since"] > 0


def test_decisions_and_their_evidence_can_be_read(api: httpx.Client, started: int) -> None:
    assert api.get(f"/v1/rollouts/{started}/decisions").json() == {"items": []}
    assert api.get("/v1/rollouts/99/decisions").status_code == 404
    assert api.get("/v1/decisions/1/bundle").status_code == 404
