"""Starting a rollout and moving it: what is asked of the control plane, and what people and programs are told."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run

LIVE = {
    "version": 12,
    "converged": True,
    "elapsed_ms": 4.2,
    "workers": [{"worker": "router-1", "version": 12, "applied_ms": 3.9, "last_request_ms": {}}],
    "laggards": [],
}


def rollout(**changed: object) -> dict[str, Any]:
    values = {
        "id": 7,
        "route": "fraud",
        "strategy": "canary",
        "phase": "progressing",
        "baseline": "fraud-v6",
        "candidates": ["fraud-v7"],
        "winner": "",
        "revision": 3,
        "step": 0,
        "opened_at": 1_700_000_000_000,
        "closed_at": 0,
    }
    return values | changed


def page(*items: object) -> dict[str, Any]:
    return {"items": list(items), "next": None}


def route(name: str, baseline: str = "fraud-v6", *, rollout: int | None = None) -> dict[str, Any]:
    return {"name": name, "path": f"/{name}", "baseline": baseline, "rollout": rollout}


def backend(name: str) -> dict[str, Any]:
    return {"name": name, "endpoints": ["http://127.0.0.1:1"]}


@pytest.fixture
def catalog(control: "Double") -> "Double":
    """One route, two backends, one open rollout; a started rollout is number 7."""
    control.answers("GET", "/v1/routes", page(route("fraud", rollout=7)))
    control.answers("GET", "/v1/routes/fraud", route("fraud", rollout=7))
    control.answers("GET", "/v1/rollouts/7", rollout())
    control.answers("GET", "/v1/backends", page(backend("fraud-v6"), backend("fraud-v7")))
    control.answers("GET", "/v1/rollouts", page(rollout()))
    inferred = ["route 'fraud', because it is the only one"]
    started = {"rollout": rollout(revision=1), "inferred": inferred, "convergence": LIVE}
    control.answers("POST", "/v1/rollouts", started, status=201)
    return control


def test_a_canary_asks_for_basis_points_and_leaves_inferring_to_the_control_plane(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("canary", "--percent", "0.1%", "--steps", "5,25,50", "--shadow-percent", "20", "--reason", "new model")
    assert ran.code == 0
    assert catalog.changes[0].body == {
        "strategy": "canary",
        "parameters": {"percent_bp": 10, "steps_bp": [500, 2500, 5000], "shadow_bp": 2000},
        "reason": "new model",
        "route": None,
        "candidates": [],
    }
    assert ran.out == (
        "started canary of fraud-v7 on route fraud (rollout 7, baseline fraud-v6) · route 'fraud', because it is the only one"
        " · table 12 live on 1 of 1 workers after 4.2 ms · next: modelctl status fraud -w\n"
    )


def test_a_canary_that_is_open_already_is_said_to_be_changed(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("POST", "/v1/rollouts", {"rollout": rollout(revision=2), "inferred": [], "convergence": LIVE}, status=201)
    ran = modelctl("canary", "--percent", "20")
    assert ran.out.startswith("changed canary of fraud-v7 on route fraud (rollout 7")


@pytest.mark.parametrize(
    ("words", "wanted_route", "candidates"),
    [
        (["fraud"], "fraud", []),
        (["fraud-v7"], None, ["fraud-v7"]),
        (["fraud", "fraud-v7"], "fraud", ["fraud-v7"]),
    ],
)
@pytest.mark.parametrize("command", [["canary", "--percent", "5"], ["shadow"], ["blue-green"]])
def test_one_word_is_a_route_or_a_candidate_as_the_control_plane_knows_it(
    catalog: "Double", modelctl: "Run", *, command: list[str], words: list[str], wanted_route: str | None, candidates: list[str]
) -> None:
    assert modelctl(*command, *words).code == 0
    body = catalog.changes[0].body
    assert (body["route"], body["candidates"]) == (wanted_route, candidates)


def test_a_shadow_can_have_several_candidates_and_a_limit(catalog: "Double", modelctl: "Run") -> None:
    assert modelctl("shadow", "fraud-v7", "fraud-v8", "--percent", "20", "--max-inflight", "16").code == 0
    body = catalog.changes[0].body
    assert body["candidates"] == ["fraud-v7", "fraud-v8"]
    assert body["parameters"] == {"percent_bp": 2000, "max_inflight": 16}


def test_an_ab_test_sends_every_share(catalog: "Double", modelctl: "Run") -> None:
    assert modelctl("ab", "fraud", "fraud-v6=50", "fraud-v7=30", "fraud-v8=20").code == 0
    body = catalog.changes[0].body
    assert body["route"] == "fraud"
    assert body["parameters"] == {"shares_bp": {"fraud-v6": 5000, "fraud-v7": 3000, "fraud-v8": 2000}}


def test_a_word_that_names_both_is_refused_with_the_exact_commands(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/routes", page(route("fraud-v7", "fraud-v6"), route("risk", "fraud-v6")))
    ran = modelctl("canary", "fraud-v7", "--percent", "5", "--steps", "5,25")
    assert ran.code == 2
    commands = [line.strip() for line in ran.err.splitlines()[1:]]
    assert commands == [
        "modelctl canary fraud-v7 fraud-v7 --percent 5 --steps 5,25",
        "modelctl canary risk fraud-v7 --percent 5 --steps 5,25",
    ]
    assert catalog.changes == []
    assert modelctl(*commands[1].split()[1:]).code == 0
    assert catalog.changes[0].body["route"] == "risk"


def test_a_word_that_nothing_has_is_refused_with_what_there_is(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("shadow", "fraude")
    assert ran.code == 1
    assert "'fraude' is neither a route nor a backend; routes: fraud; backends: fraud-v6, fraud-v7" in ran.err
    assert catalog.changes == []


def test_names_are_found_on_every_page(catalog: "Double", modelctl: "Run") -> None:
    first, second = {"items": [backend("a")], "next": "2"}, page(backend("fraud-v7"))
    catalog.answers("GET", "/v1/backends", first, second)
    assert modelctl("shadow", "fraud-v7").code == 0
    assert [asked.query for asked in catalog.asked if asked.path == "/v1/backends"] == [{}, {"cursor": "2"}]


def test_with_json_the_output_is_the_object_of_the_api_and_nothing_else(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("canary", "--percent", "5", "-o", "json")
    assert ran.json["rollout"] == rollout(revision=1)
    assert ran.json["convergence"] == LIVE
    assert modelctl("canary", "--percent", "5", "-o", "name").out == "7\n"
    assert '"version": 12' in modelctl("canary", "--percent", "5", "-o", "yaml").out


@pytest.mark.parametrize("verb", ["advance", "promote", "pause", "resume", "rollback", "abort", "undo"])
def test_a_verb_is_done_to_the_open_rollout_and_told_in_one_line(catalog: "Double", modelctl: "Run", *, verb: str) -> None:
    word = {"abort": "rollback", "undo": "rollback"}.get(verb, verb)
    catalog.answers("POST", f"/v1/rollouts/7:{word}", {"rollout": rollout(winner="fraud-v7"), "convergence": LIVE})
    ran = modelctl(verb, "--reason", "because")
    assert ran.code == 0
    assert catalog.changes[0].body["reason"] == "because"
    assert ran.out.count("\n") == 1
    assert "table 12 live on 1 of 1 workers after 4.2 ms" in ran.out


@pytest.mark.parametrize(("verb", "sent"), [("advance", '"3"'), ("promote", '"3"'), ("pause", None), ("rollback", None)])
def test_only_what_raises_exposure_depends_on_the_revision_that_was_seen(
    catalog: "Double", modelctl: "Run", *, verb: str, sent: str | None
) -> None:
    catalog.answers("POST", f"/v1/rollouts/7:{verb}", {"rollout": rollout(), "convergence": LIVE})
    modelctl(verb, "fraud")
    assert catalog.changes[0].headers.get("if-match") == sent


def test_promoting_says_when_the_old_baseline_got_its_last_request(catalog: "Double", modelctl: "Run") -> None:
    live = LIVE | {"workers": [{"worker": f"router-{ms}", "last_request_ms": {"fraud-v6": ms}} for ms in (1.5, 2.25)]}
    catalog.answers(
        "POST", "/v1/rollouts/7:promote", {"rollout": rollout(phase="promoted", winner="fraud-v7"), "convergence": live}
    )
    assert modelctl("promote", "--winner", "fraud-v7").out == (
        "promoted fraud-v7 on route fraud · table 12 live on 2 of 2 workers after 4.2 ms · the last request to fraud-v6 was sent"
        " 2.2 ms after the command · next: modelctl history fraud\n"
    )
    assert catalog.changes[0].body == {"reason": "", "winner": "fraud-v7"}


def test_rolling_back_says_when_no_request_came_after_the_command(catalog: "Double", modelctl: "Run") -> None:
    live = LIVE | {"workers": [{"worker": "router-1", "last_request_ms": {"fraud-v7": None}}]}
    catalog.answers("POST", "/v1/rollouts/7:rollback", {"rollout": rollout(phase="rolled-back"), "convergence": live})
    assert "no request was sent to fraud-v7 after the command" in modelctl("rollback").out


def test_a_worker_that_did_not_take_the_table_is_a_failure_that_names_it_and_why(catalog: "Double", modelctl: "Run") -> None:
    late = {"worker": "router-2", "version": 11, "reason": "refused table 12: two routes have one path"}
    convergence = LIVE | {"converged": False, "laggards": [late]}
    catalog.answers("POST", "/v1/rollouts/7:rollback", {"rollout": rollout(phase="rolled-back"), "convergence": convergence})
    ran = modelctl("rollback", "-o", "json")
    assert ran.code == 1
    assert ran.json["convergence"]["converged"] is False
    assert "not every worker serves from it: router-2 (table 11) refused table 12: two routes have one path" in ran.err


def test_a_change_that_no_router_hears_of_is_a_failure_that_says_so(catalog: "Double", modelctl: "Run") -> None:
    convergence = LIVE | {"converged": False, "workers": []}
    catalog.answers("POST", "/v1/rollouts/7:pause", {"rollout": rollout(phase="paused"), "convergence": convergence})
    ran = modelctl("pause")
    assert ran.code == 1
    assert "table 12 saved" in ran.out
    assert "no router is connected" in ran.err


def test_without_an_open_rollout_a_verb_is_refused_with_what_to_do(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/routes", page(route("fraud")))
    ran = modelctl("advance")
    assert ran.code == 1
    assert "no rollout is open on any route: start one with" in ran.err
    assert catalog.changes == []


def test_with_several_open_rollouts_a_verb_is_refused_with_the_exact_commands(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/routes", page(route("fraud", rollout=7), route("risk", rollout=8)))
    ran = modelctl("promote")
    assert ran.code == 2
    assert [line.strip() for line in ran.err.splitlines()[1:]] == ["modelctl promote fraud", "modelctl promote risk"]
    assert catalog.changes == []


def test_rolling_back_without_an_open_rollout_puts_the_previous_baseline_back(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/routes", page(route("fraud")))
    catalog.answers("POST", "/v1/routes/fraud:rollback", {"route": route("fraud"), "convergence": LIVE})
    ran = modelctl("rollback", "--reason", "worse")
    assert ran.code == 0
    assert ran.out.startswith("put fraud-v6 back as the baseline of route fraud · table 12 live")
    assert catalog.changes[0].body == {"reason": "worse"}


def test_rolling_back_to_an_event_names_the_event(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("POST", "/v1/routes/fraud:rollback", {"route": route("fraud"), "convergence": LIVE})
    assert modelctl("rollback", "fraud", "--to", "31").code == 0
    assert catalog.changes[0].body == {"reason": "", "to": 31}


def test_waiting_ends_when_the_rollout_is_in_the_phase(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/rollouts/7", rollout(), rollout(phase="promoted"))
    catalog.answers("GET", "/v1/status", {"routes": [], "workers": [], "evidence": {}})
    ran = modelctl("status", "--wait", "promoted", "--timeout", "20s", "-o", "json")
    assert ran.code == 0
    assert ran.json["routes"] == []
    assert "rollout 7 of route fraud is promoted" in ran.err


def test_waiting_too_long_is_3(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("status", "--wait", "promoted", "--timeout", "0s")
    assert ran.code == 3
    assert "is still progressing" in ran.err


def test_waiting_for_what_only_a_person_can_decide_is_3(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/rollouts/7", rollout(), rollout(holds="The maximum is reached at n = 2,000 without proof."))
    catalog.answers("GET", "/v1/rollouts", page(rollout()))
    ran = modelctl("status", "--wait", "promoted", "--timeout", "20s")
    assert ran.code == 3
    assert "is inconclusive and waits for a person: The maximum is reached" in ran.err
    assert "modelctl promote fraud --force --reason WHY" in ran.err


def test_waiting_on_a_route_that_does_not_exist_says_so(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/rollouts", page())
    catalog.refuses("GET", "/v1/routes/spam", code="not-found", detail="there is no route 'spam'; there are fraud")
    ran = modelctl("status", "spam", "--wait", "promoted")
    assert ran.code == 1
    assert "there is no route 'spam'" in ran.err


def test_waiting_for_a_promotion_that_was_rolled_back_is_1(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/rollouts", page(rollout(phase="rolled-back")))
    ran = modelctl("status", "--wait", "promoted")
    assert {"route": "fraud", "limit": "1"} in [asked.query for asked in catalog.asked]
    assert ran.code == 1
    assert "it is rolled-back, not promoted" in ran.err
