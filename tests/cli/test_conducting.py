"""What people do to a rollout that automation conducts: going ahead by force, approving, freezing, sending testers."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modelctl.cli.freezes import weekly_window
from modelctl.errors import InvalidInput
from modelctl.freeze import Weekly
from tests.cli.test_rollouts import LIVE, page, rollout, route

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run


@pytest.fixture
def catalog(control: "Double") -> "Double":
    """A route with rollout 7, at revision 3."""
    control.answers("GET", "/v1/routes", page(route("fraud", rollout=7)))
    control.answers("GET", "/v1/routes/fraud", route("fraud", rollout=7))
    control.answers(
        "GET", "/v1/rollouts/7", rollout(rules=[{"name": "qa", "arm": "fraud-v7", "source": "header", "place": "x-qa"}])
    )
    moved = {"rollout": rollout(winner="fraud-v7"), "convergence": LIVE}
    for verb in ("advance", "promote", "complete", "add-rule", "remove-rule"):
        control.answers("POST", f"/v1/rollouts/7:{verb}", moved)
    return control


@pytest.mark.parametrize("verb", ["advance", "promote"])
def test_going_ahead_by_force_needs_a_reason(catalog: "Double", modelctl: "Run", *, verb: str) -> None:
    ran = modelctl(verb, "--force")
    assert ran.code == 2
    assert f"modelctl {verb} --force --reason WHY" in ran.err
    assert catalog.changes == []
    assert modelctl(verb, "--force", "--reason", "hotfix").code == 0
    assert catalog.changes[0].body == {"reason": "hotfix", "force": True}


def test_giving_more_by_force_needs_a_reason_too(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("POST", "/v1/rollouts", {"rollout": rollout(), "convergence": LIVE}, status=201)
    assert modelctl("canary", "--percent", "50", "--force").code == 2
    assert catalog.changes == []
    assert modelctl("canary", "--percent", "50", "--force", "--reason", "hotfix").code == 0
    assert (catalog.changes[0].body["force"], catalog.changes[0].body["reason"]) == (True, "hotfix")


def test_a_gate_that_is_not_passed_is_a_refusal_with_the_command_that_goes_ahead(catalog: "Double", modelctl: "Run") -> None:
    detail = "cannot advance rollout 7 yet: harm above 0.9 points excluded. To go ahead all the same, say why:\n  modelctl advance"
    catalog.answers("POST", "/v1/rollouts/7:advance", {"detail": detail, "code": "gate-not-passed"}, status=409)
    ran = modelctl("advance")
    assert ran.code == 1
    assert "harm above 0.9 points excluded" in ran.err


def test_completing_ends_it_without_a_winner(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("complete", "--reason", "the schedule is over")
    assert ran.out.startswith("completed the canary of fraud-v7 on route fraud: fraud-v6 stays")
    assert catalog.changes[0].body == {"reason": "the schedule is over"}


def test_approving_says_how_many_have_and_how_many_must(catalog: "Double", modelctl: "Run") -> None:
    approved = rollout(approvals=[{"actor": "bea", "at": 1}], conduct={"approvals": 2})
    catalog.answers("POST", "/v1/rollouts/7:approve", approved)
    ran = modelctl("approve", "--reason", "seen the report")
    assert ran.out == "approved fraud-v7 on route fraud · 1 of 2 approvals: bea · next: modelctl status fraud\n"
    assert (catalog.changes[0].body, catalog.changes[0].headers["if-match"]) == ({"reason": "seen the report"}, '"3"')


def test_an_approval_of_ones_own_rollout_is_refused_though_it_was_typed_right(catalog: "Double", modelctl: "Run") -> None:
    catalog.refuses("POST", "/v1/rollouts/7:approve", code="invalid-input", detail="'ann' started rollout 7")
    ran = modelctl("approve")
    assert (ran.code, ran.err.splitlines()[0]) == (1, "error: 'ann' started rollout 7")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("cannot decide before max_ms at 5 %, and max_n is 2,000", "cannot decide before --max-time at 5 %, and --max-n is 2,000"),
        ("max_n is 5, below min_n, 1000", "--max-n is 5, below --min-n, 1000"),
        ("bake_ms must be from 0 to 60000, not -1", "bake_ms must be from 0 to 60000, not -1"),
        ("conduct.max_n and my_max_n are other words", "conduct.max_n and my_max_n are other words"),
    ],
)
def test_a_refusal_speaks_of_the_options_that_were_typed(catalog: "Double", modelctl: "Run", *, said: str, shown: str) -> None:
    catalog.refuses("POST", "/v1/rollouts/7:advance", code="invalid-input", detail=said)
    assert modelctl("advance").err.splitlines()[0] == f"error: {shown}"


@pytest.mark.parametrize(
    ("text", "days", "start", "minutes"),
    [
        ("fri 16:00-mon 08:00", ["fri"], "16:00", 64 * 60),
        ("Fri 16:00 - Mon 08:00", ["fri"], "16:00", 64 * 60),
        ("mon-fri 12:00-13:30", ["mon", "tue", "wed", "thu", "fri"], "12:00", 90),
        ("sat-sun 22:00-06:00", ["sat", "sun"], "22:00", 480),
        ("tue 09:00-17:00", ["tue"], "09:00", 480),
    ],
)
def test_a_weekly_window_is_read_as_the_control_plane_keeps_it(text: str, days: list[str], *, start: str, minutes: int) -> None:
    found = weekly_window(text, zone="Europe/Berlin")
    assert found == {"days": days, "start": start, "minutes": minutes, "zone": "Europe/Berlin"}
    Weekly(days=tuple(days), start=start, minutes=minutes, zone="Europe/Berlin")


@pytest.mark.parametrize("text", ["weekends", "fri 25:00-mon 08:00", "fri 08:00-fri 08:00", "08:00-09:00"])
def test_what_is_no_weekly_window_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        weekly_window(text, zone="UTC")


def test_a_freeze_is_weekly_or_has_a_beginning_and_an_end(control: "Double", modelctl: "Run") -> None:
    weekly = {"days": ["fri"], "start": "16:00", "minutes": 3840, "zone": "Europe/Berlin"}
    control.answers("POST", "/v1/freezes", {"id": 3, "weekly": weekly}, {"id": 4, "route": "fraud", "until_at": 1_800_000_000_000})
    ran = modelctl("freeze", "add", "fri 16:00-mon 08:00", "--tz", "Europe/Berlin", "--reason", "weekend")
    assert control.changes[0].body == {"reason": "weekend", "weekly": weekly}
    assert "freeze 3 of all routes: fri from 16:00 for 2d 16h (Europe/Berlin)" in ran.out
    assert modelctl("freeze", "add", "--route", "fraud", "--until", "2027-01-15T09:00", "--tz", "Europe/Berlin").code == 0
    until = datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp() * 1000
    assert control.changes[1].body == {"reason": "", "route": "fraud", "until_at": until}
    assert modelctl("freeze", "add", "fri 16:00-mon 08:00", "--until", "2027-01-15").code == 2
    assert modelctl("freeze", "add", "--until", "soon").code == 2
    assert modelctl("freeze", "add", "--until", "2027-01-15", "--tz", "Mars/Base").code == 2


def test_freezes_are_listed_and_removed(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/freezes", {"items": [{"id": 3, "actor": "ann", "reason": "audit"}]})
    control.answers("POST", "/v1/freezes/3:remove", {"id": 3})
    assert modelctl("freeze", "list", "-o", "name").out == "3\n"
    assert "now until it is removed" in modelctl("freeze", "list").out
    assert modelctl("freeze", "remove", "3").code == 2, "there is no terminal to be asked on"
    assert modelctl("freeze", "remove", "3", "--yes", "--reason", "over").out == "removed freeze 3\n"
    assert control.changes[0].body == {"reason": "over"}


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        (["--header", "X-Tester=yes"], {"source": "header", "place": "x-tester", "equals": "yes"}),
        (["--header", "x-tester"], {"source": "header", "place": "x-tester"}),
        (["--path", "/beta"], {"source": "path", "place": "/beta"}),
        (["--request", "/user/plan=gold"], {"source": "request", "place": "/user/plan", "equals": "gold"}),
        (["--request", "/vip=true"], {"source": "request", "place": "/vip", "equals": True}),
        (["--request", "/tier=3"], {"source": "request", "place": "/tier", "equals": 3}),
    ],
)
def test_a_rule_says_what_a_request_must_have(
    catalog: "Double", modelctl: "Run", *, options: list[str], fields: dict[str, Any]
) -> None:
    assert modelctl("rule", "add", "fraud", "testers", *options, "--arm", "fraud-v7", "--first").code == 0
    assert catalog.changes[0].body == {"rule": {"name": "testers", "arm": "fraud-v7"} | fields, "reason": "", "at": 0}


def test_a_rule_about_two_things_or_none_is_refused(catalog: "Double", modelctl: "Run") -> None:
    assert modelctl("rule", "add", "fraud", "testers", "--arm", "fraud-v7").code == 2
    assert modelctl("rule", "add", "fraud", "testers", "--arm", "fraud-v7", "--path", "/a", "--header", "b").code == 2
    assert catalog.changes == []


def test_rules_are_listed_in_their_order_and_removed(catalog: "Double", modelctl: "Run") -> None:
    assert "anything" in modelctl("rule", "list", "fraud").out
    assert modelctl("rule", "list", "fraud", "-o", "name").out == "qa\n"
    assert modelctl("rule", "remove", "fraud", "qa").code == 0
    assert catalog.changes[0].body == {"name": "qa", "reason": ""}


def test_a_routes_own_metrics_are_added_and_removed_one_by_one(catalog: "Double", modelctl: "Run") -> None:
    old = {"name": "score", "path": "/score", "type": "number", "worse": "higher", "low": None, "high": None}
    catalog.answers("GET", "/v1/routes/fraud", route("fraud") | {"revision": 5, "fields": [old], "dimensions": []})
    catalog.answers("PATCH", "/v1/routes/fraud", route("fraud") | {"convergence": LIVE})
    new = {"name": "refused", "path": "/refused", "type": "flag", "worse": "lower", "high": 1.0}
    words = ("refused", "--path", "/refused", "--type", "flag", "--worse", "lower", "--high", "1")
    assert modelctl("route", "metric", "add", "fraud", *words).code == 0
    assert (catalog.changes[0].body, catalog.changes[0].headers["if-match"]) == ({"fields": [old, new]}, '"5"')
    assert modelctl("route", "metric", "add", "fraud", "score", "--path", "/s").code == 5
    assert modelctl("route", "metric", "remove", "fraud", "nope", "--yes").code == 1
    assert modelctl("route", "metric", "remove", "fraud", "score", "--yes").code == 0
    assert catalog.changes[-1].body == {"fields": []}
    assert "/score" in modelctl("route", "metric", "list", "fraud").out


def test_dimensions_are_added_and_removed_one_by_one(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/routes/fraud", route("fraud") | {"revision": 5, "fields": [], "dimensions": []})
    catalog.answers("PATCH", "/v1/routes/fraud", route("fraud") | {"convergence": LIVE})
    add = ("route", "dimension", "add", "fraud")
    assert modelctl(*add, "country", "--header", "X-Country").code == 0
    assert modelctl(*add, "amount", "--request", "/amount", "--cuts", "10,100").code == 0
    assert modelctl(*add, "hour", "--hour").code == 0
    assert [asked.body["dimensions"][0] for asked in catalog.changes] == [
        {"name": "country", "source": "header", "place": "x-country"},
        {"name": "amount", "source": "request", "place": "/amount", "cuts": [10.0, 100.0]},
        {"name": "hour", "source": "hour"},
    ]
    assert modelctl(*add, "nothing").code == 2
    assert modelctl(*add, "amount", "--request", "/amount", "--cuts", "a,b").code == 2


def test_a_reward_is_sent_as_one(control: "Double", modelctl: "Run") -> None:
    control.answers("POST", "/v1/feedback", {"accepted": 1, "duplicates": 0, "unmatched": 0})
    assert modelctl("feedback", "send", "0190-abc", "12.5", "--reward").code == 0
    assert control.changes[0].body == {"request_id": "0190-abc", "value": 12.5, "kind": "reward"}


def test_decisions_are_listed_and_their_evidence_is_got(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/rollouts", page(rollout()))
    decided = {"id": 12, "kind": "promote", "at": 1_700_000_000_000_000, "sentence": "Not worse.", "acted": "promote"}
    catalog.answers("GET", "/v1/rollouts/7/decisions", {"items": [decided]})
    catalog.answers("GET", "/v1/decisions/12/bundle", b'{"bundle_version":1}')
    out = modelctl("decision", "list", "fraud").out
    assert "Not worse." in out
    assert modelctl("decision", "list", "--rollout", "7", "-o", "name").out == "12\n"
    assert modelctl("decision", "bundle", "12").out == '{"bundle_version":1}\n'
    ran = modelctl("decision", "bundle", "12", "--out", "evidence.json")
    assert (ran.out, Path("evidence.json").read_text()) == ("", '{"bundle_version":1}')
    assert "next: modelctl verify evidence.json" in ran.err


def test_a_bundle_that_cannot_be_read_is_wrong_usage(modelctl: "Run", tmp_path: Path) -> None:
    assert modelctl("verify", str(tmp_path / "nothing.json")).code == 2
