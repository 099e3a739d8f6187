"""What a rollout must prove and how it is run, as it is typed; and what automatic mode asks for when it was not said."""

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.test_rollouts import LIVE, page, rollout, route

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run

GATE = "error_rate:guardrail:margin=0.5pt"
PLAN: dict[str, Any] = {
    "route": "fraud",
    "strategy": "canary",
    "steps": [{"title": "5% to fraud-v7", "requests": 101_424.0, "seconds": 1014.24}],
    "rate": 100.0,
    "rate_from": "observed",
    "suggested": True,
    "gates": [
        {
            "gate": "error_rate:guardrail:margin=0.005",
            "design": "split",
            "baseline": 0.01,
            "baseline_from": "observed",
            "unit": "requests",
            "needed": 101_424.0,
            "counted": 5_071.0,
            "requests": 101_424.0,
            "seconds": 1014.24,
            "at": 1_700_000_000_000_000,
            "probability_now": 0.0,
            "probability_then": 0.79,
            "lever": "raise share 5 % to 10 %: 17 min becomes 9 min",
        }
    ],
    "requests": 101_424.0,
    "seconds": 1014.24,
    "notes": ["nothing is promoted before 1,000 units of the candidate"],
}


class Terminal(io.StringIO):
    """A keyboard on which these lines are typed."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def catalog(control: "Double") -> "Double":
    """A route without an open rollout, whose canary takes a plan."""
    control.answers("GET", "/v1/routes", page(route("fraud")))
    control.answers("GET", "/v1/routes/fraud", route("fraud"))
    control.answers("GET", "/v1/backends", page({"name": "fraud-v6"}, {"name": "fraud-v7"}))
    control.answers("POST", "/v1/routes/fraud:plan", PLAN)
    control.answers("POST", "/v1/rollouts", {"rollout": rollout(revision=1), "convergence": LIVE}, status=201)
    return control


def started(catalog: "Double") -> dict[str, Any]:
    (asked,) = [asked for asked in catalog.changes if asked.path == "/v1/rollouts"]
    return dict(asked.body)


def test_every_option_of_a_rollouts_conduct_is_sent_as_its_field(catalog: "Double", modelctl: "Run") -> None:
    options = (
        "--gate error_rate:guardrail:margin=0.5pt --gate accuracy:success:mde=1pt --mode auto --bake 10m --min-n 500 "
        "--max-n 200000 --min-time 1h --max-time 7d --for 14d --max-shown 1000000 --watch 1d --approvals 1 --ceiling 20 "
        "--at-end rollback --engine gst --looks 6"
    )
    assert modelctl("canary", "--percent", "5", *options.split()).code == 0
    assert started(catalog)["gates"] == [GATE, "accuracy:success:mde=1pt"]
    assert started(catalog)["conduct"] == {
        "mode": "auto",
        "engine": "gst",
        "looks": 6,
        "min_n": 500,
        "max_n": 200_000,
        "max_shown": 1_000_000,
        "approvals": 1,
        "at_end": "rollback",
        "ceiling_bp": 2_000,
        "bake_ms": 600_000,
        "min_ms": 3_600_000,
        "max_ms": 604_800_000,
        "for_ms": 1_209_600_000,
        "watch_ms": 86_400_000,
    }


@pytest.mark.parametrize(
    "command",
    [["shadow"], ["blue-green"], ["ab", "fraud-v6=50", "fraud-v7=50"], ["canary", "--percent", "5"]],
    ids=lambda one: one[0],
)
def test_every_strategy_takes_gates_and_leaves_out_what_was_not_said(
    catalog: "Double", modelctl: "Run", *, command: list[str]
) -> None:
    assert modelctl(*command, "--gate", GATE, "--manual").code == 0
    body = started(catalog)
    assert (body["gates"], body["conduct"]) == ([GATE], {"mode": "advise"})
    assert modelctl(*command).code == 0
    assert catalog.changes[-1].body.keys() & {"gates", "conduct"} == set()


def test_a_ladder_without_a_percent_begins_at_its_first_step_and_holds_behind_a_mark(catalog: "Double", modelctl: "Run") -> None:
    assert modelctl("canary", "--steps", "1,5,20!,50").code == 0
    assert started(catalog)["parameters"] == {"percent_bp": 100, "steps_bp": [500, 2000, 5000], "holds_bp": [2000]}


def test_a_canary_without_any_share_is_refused_with_what_to_type(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("canary")
    assert ran.code == 2
    assert "modelctl canary --percent 5" in ran.err
    assert catalog.changes == []


def test_the_noise_of_the_baseline_and_the_comparison_before_a_switch_are_parameters(catalog: "Double", modelctl: "Run") -> None:
    assert modelctl("shadow", "--noise-control", "5").code == 0
    assert started(catalog)["parameters"] == {"percent_bp": 10_000, "noise_bp": 500}
    assert modelctl("blue-green", "--shadow-percent", "20", "--percent", "1").code == 0
    assert catalog.changes[-1].body["parameters"] == {"percent_bp": 100, "shadow_bp": 2_000}


def test_manual_and_auto_contradict_each_other(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("canary", "--percent", "5", "--manual", "--mode", "auto")
    assert ran.code == 2
    assert "--manual is --mode advise" in ran.err


def test_automatic_mode_without_a_gate_or_an_end_prints_the_exact_command_where_nobody_can_be_asked(
    catalog: "Double", modelctl: "Run"
) -> None:
    ran = modelctl("canary", "fraud", "fraud-v7", "--percent", "5", "--mode", "auto")
    assert ran.code == 2
    (command,) = [line.strip() for line in ran.err.splitlines() if line.startswith("  modelctl")]
    assert command == f"modelctl canary fraud fraud-v7 --percent 5 --mode auto --gate {GATE} --max-n 11000"
    assert modelctl(*command.split()[1:]).code == 0
    assert started(catalog)["gates"] == [GATE]


def test_only_what_is_missing_is_added_to_the_command(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("canary", "--percent", "5", "--mode", "auto", "--gate", "error_rate:guardrail:margin=2pt")
    assert "mode auto needs an end, and this is no terminal" in ran.err
    assert ran.err.rstrip().endswith("--gate error_rate:guardrail:margin=2pt --mode auto --max-n 11000")
    ran = modelctl("canary", "--percent", "5", "--mode", "auto", "--max-time", "7d")
    assert "mode auto needs the harm you tolerate (a gate), and" in ran.err
    assert ran.err.rstrip().endswith(f"--max-time 7d --gate {GATE}")


def test_on_a_terminal_the_margin_is_asked_for_with_a_suggestion(
    catalog: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("1pt\n\n"))
    ran = modelctl("canary", "--percent", "5", "--mode", "auto")
    assert ran.code == 0
    assert (
        "the baseline's is 1% (observed); with 0.5pt a decision takes about 101,424 requests, 16m 54s. Margin [0.5pt]:" in ran.err
    )
    assert started(catalog)["gates"] == ["error_rate:guardrail:margin=1pt"]
    assert started(catalog)["conduct"] == {"mode": "auto", "max_n": 11_000}


def test_an_empty_answer_takes_the_suggestion_and_no_answer_starts_nothing(
    catalog: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(""))
    ran = modelctl("canary", "--percent", "5", "--mode", "auto")
    assert (ran.code, catalog.changes[-1].path) == (1, "/v1/routes/fraud:plan")
    assert "nothing was started" in ran.err
    monkeypatch.setattr(sys, "stdin", Terminal("\n50000\n"))
    assert modelctl("canary", "--percent", "5", "--mode", "auto").code == 0
    assert (started(catalog)["gates"], started(catalog)["conduct"]["max_n"]) == ([GATE], 50_000)


def test_a_margin_that_is_none_is_refused(catalog: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal("a bit\n"))
    ran = modelctl("canary", "--percent", "5", "--mode", "auto")
    assert ran.code == 2
    assert "'a bit' in " in ran.err
    assert "is no amount" in ran.err


def test_an_open_rollout_keeps_its_gates_so_nothing_is_asked(catalog: "Double", modelctl: "Run") -> None:
    catalog.answers("GET", "/v1/routes", page(route("fraud", rollout=7)))
    catalog.answers("GET", "/v1/routes/fraud", route("fraud", rollout=7))
    catalog.answers("GET", "/v1/rollouts/7", rollout(gates=[{"metric": "error_rate"}]))
    assert modelctl("canary", "--percent", "20", "--mode", "auto").code == 0
    assert started(catalog)["conduct"] == {"mode": "auto"}


def test_a_plan_says_how_long_how_likely_and_what_is_faster(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl(
        *("plan", "--percent", "5", "--gate", GATE, "--rate", "100/s"),
        *("--baseline", "error_rate=1%", "--baseline", "score=12.5,sd=3", "--max-n", "20000"),
    )
    assert ran.code == 0
    assert catalog.changes[0].body == {
        "strategy": "canary",
        "parameters": {"percent_bp": 500},
        "gates": [GATE],
        "conduct": {"max_n": 20_000},
        "rate": 100.0,
        "baselines": {"error_rate": {"value": 0.01}, "score": {"value": 12.5, "sd": 3.0}},
    }
    assert "5% to fraud-v7 · 100 requests/s, observed · decided in 16m 54s" in ran.out
    for said in (GATE, "101,424 requests", "79%", "sooner: raise share 5 % to 10 %", "note: nothing is promoted before 1,000"):
        assert said in ran.out, said
    assert f"these are suggestions: --gate {GATE}" in ran.out


def test_a_plan_that_would_be_refused_says_so_by_the_options_of_the_command_line(catalog: "Double", modelctl: "Run") -> None:
    said = "--gate error_rate:guardrail:margin=0.5pt: cannot decide before max_n at 5 %, and max_n is 2,000; give --max-n 5100"
    catalog.answers("POST", "/v1/routes/fraud:plan", PLAN | {"refusal": said})
    out = " ".join(modelctl("plan", "fraud").out.split())
    assert "would be refused:" in out
    assert "cannot decide before --max-n at 5 %, and --max-n is 2,000; give --max-n 5100" in out
    assert modelctl("plan", "fraud", "-o", "json").json["refusal"] == said


def test_a_plan_of_what_is_open_asks_for_nothing_and_json_is_the_object_of_the_api(catalog: "Double", modelctl: "Run") -> None:
    ran = modelctl("plan", "fraud", "-o", "json")
    assert catalog.changes[0].body == {}
    assert ran.json == PLAN


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--baseline", "error_rate"], "write METRIC=VALUE"),
        (["--baseline", "error_rate=few"], "'few' is no number"),
        (["--rate", "fast"], "is no rate"),
        (["--strategy", "shadow", "--steps", "5,25"], "a shadow has no steps"),
    ],
)
def test_what_a_plan_cannot_read_is_refused(catalog: "Double", modelctl: "Run", *, options: list[str], says: str) -> None:
    ran = modelctl("plan", *options)
    assert ran.code == 2
    assert says in ran.err
    assert catalog.changes == []
