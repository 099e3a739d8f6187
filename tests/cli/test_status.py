"""The status and the doctor, given what a control plane answers: its own values, encoded as it encodes them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import modelctl as package
from modelctl.controlplane.automation.conducting import Barrier, Block
from modelctl.controlplane.automation.next_moves import NextMove
from modelctl.controlplane.fleet import WorkerStatus
from modelctl.controlplane.report.backlog import Backlog
from modelctl.controlplane.report.endings import Ending
from modelctl.controlplane.report.gate_lines import GateLine
from modelctl.controlplane.report.status import ArmStatus, EvidenceStatus, RolloutStatus, RouteStatus, Status, VerdictLine
from tests.cli.answers import FUNNEL as SHADOWED
from tests.cli.answers import answer, coloured_only_on_demand, replaced

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run

FUNNEL = replaced(SHADOWED, fallback=1_234)
ROLLOUT = RolloutStatus(
    id=7,
    strategy="canary",
    phase="progressing",
    step=0,
    steps=3,
    title="5% to fraud-v7",
    candidates=("fraud-v7",),
    preview="",
    verbs=("advance", "pause", "promote", "rollback"),
    revision=2,
)
STATUS = Status(
    table_version=12,
    routes=(
        RouteStatus(
            name="fraud",
            path="/fraud",
            host="api.example",
            baseline="fraud-v6",
            rollout=ROLLOUT,
            arms=(
                ArmStatus(
                    backend="fraud-v6",
                    role="baseline",
                    answers=9_500,
                    shown=0,
                    observed=9_512.3,
                    observed_stage=9_498.0,
                    requests=951,
                    errors=2,
                    error_rate=2 / 951,
                ),
                ArmStatus(
                    backend="fraud-v7",
                    role="candidate",
                    answers=500,
                    shown=2_000,
                    observed=487.7,
                    observed_stage=None,
                    requests=0,
                    errors=0,
                    error_rate=None,
                ),
            ),
            funnel=(FUNNEL,),
            verdict=VerdictLine("continue", "No harm is proven after 980 pairs."),
        ),
    ),
    workers=(WorkerStatus(worker="router-1", version=12, alive=True), WorkerStatus(worker="router-0", version=9, alive=False)),
    evidence=EvidenceStatus(offered=1_000, accepted=999, dropped=1, committed=998, quarantined=1, duplicate=0, lag=2.5),
)


def test_the_status_says_everything_about_a_rollout_in_words(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/status", answer(STATUS))
    ran = modelctl("status")
    assert ran.code == 0
    for said in (
        "fraud  api.example/fraud · baseline fraud-v6",
        "canary 7 · progressing · step 1 of 3: 5% to fraud-v7",
        "shadow fraud-v7: eligible 1,000 -> sampled 990 -> sent 980 -> answered 975 -> parsed 970 -> paired 980",
        "10 not sent: the candidate's limit",
        "fallback: 1,234 requests of fraud-v7 answered by the baseline",
        "verdict continue: No harm is proven after 980 pairs.",
        "next: modelctl advance fraud · modelctl pause fraud · modelctl promote fraud · modelctl rollback fraud",
        "workers: 1 connected, table 12 · router-0 is silent",
        "evidence: offered 1,000 · accepted 999 · dropped 1 · committed 998 · quarantined 1 · last recorded 2s ago",
    ):
        assert said in ran.out, said
    baseline, candidate = (
        line.split()[1:] for line in ran.out.splitlines() if "fraud-v" in line and "%" in line and "step" not in line
    )
    assert baseline == ["fraud-v6", "baseline", "95%", "0%", "95.12%", "94.98%", "951", "0.21%"]
    assert candidate == ["fraud-v7", "candidate", "5%", "20%", "4.88%", "-", "0", "-"]


def test_the_status_of_a_conducted_rollout_shows_each_gate_and_what_clears_each_wait(control: "Double", modelctl: "Run") -> None:
    at = 1_700_000_000_000
    gate = GateLine(
        gate="error_rate:guardrail:margin=0.005",
        candidate="fraud-v7",
        title="failed answers",
        role="guardrail",
        design="split",
        state="open",
        lower=-0.001,
        upper=0.0093,
        margin=0.005,
        unit="points",
        n=12_345,
        counts="requests",
        enough_for=5_376,
        reason="",
        forecast="about 61,000 more requests",
    )
    sentence = "harm above 0.93 points excluded; margin 0.5 points not reached"
    waits = (Block(Barrier.GATE, sentence, "modelctl advance fraud --force --reason WHY"), Block(Barrier.BAKE, "It bakes."))
    move = NextMove(
        kind="advance:1",
        sentence="Next: 25%.",
        mode="auto",
        verb="",
        blocked_by=waits,
        command=waits[0].command,
        since=at,
        due_at=0,
    )
    opened = replaced(ROLLOUT, mode="auto", baked_at=at + 272_000, gates=(gate,), next=move)
    control.answers("GET", "/v1/status", answer(replaced(STATUS, at=at, routes=(replaced(STATUS.routes[0], rollout=opened),))))
    out = modelctl("status").out
    for said in (
        "step 1 of 3: 5% to fraud-v7 · bakes for another 4m 32s · mode auto",
        "error_rate:guardrail:margin=0.5pt",
        "-0.1 pt to 0.93 pt",
        "53.76%",
        "about 61,000 more requests",
        "automation (auto): Next: 25%.",
        f"waits for gate: {sentence} · clears it: modelctl advance fraud --force --reason WHY",
        "waits for bake: It bakes.\n",
    ):
        assert said in out, said
    assert "0.5 pt" in out.split("-0.1 pt to 0.93 pt")[1].splitlines()[0]


def test_the_status_without_a_rollout_says_how_to_start_one(control: "Double", modelctl: "Run") -> None:
    last = {"strategy": "canary", "phase": "rolled-back", "winner": "", "candidates": ("fraud-v7",)}
    ending = Ending(rollout=6, at=1_700_000_000_000, actor="controller", reason="fails 3 to 9 times as often", **last)  # type: ignore[arg-type]
    route = replaced(STATUS.routes[0], rollout=None, funnel=(), verdict=None, arms=(), last=ending)
    control.answers("GET", "/v1/status", answer(replaced(STATUS, routes=(route,), workers=())))
    ran = modelctl("status", "fraud")
    assert control.asked[0].query == {"route": "fraud"}
    assert "no open rollout · the last, canary 6 of fraud-v7, was rolled-back by controller at " in ran.out
    assert ": fails 3 to 9 times as often" in ran.out
    assert "modelctl canary fraud CANDIDATE --percent 5" in ran.out
    assert "workers: none is connected" in ran.out


def test_the_status_of_an_empty_control_plane_says_what_to_do_first(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/status", answer(replaced(STATUS, routes=())))
    assert "no route yet · next: modelctl route add" in modelctl("status").out


def test_a_refused_table_and_a_preview_address_are_shown(control: "Double", modelctl: "Run") -> None:
    refusing = WorkerStatus(worker="router-1", version=11, alive=True, refused=12, why="two routes have one path")
    route = replaced(STATUS.routes[0], rollout=replaced(ROLLOUT, preview="/-/preview/fraud"))
    control.answers("GET", "/v1/status", answer(replaced(STATUS, workers=(refusing,), routes=(route,))))
    ran = modelctl("status")
    assert "router-1 refused table 12: two routes have one path" in ran.out
    assert "preview address /-/preview/fraud" in ran.out


def test_the_status_in_json_is_the_object_of_the_api(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/status", answer(STATUS))
    assert modelctl("status", "-o", "json").json == answer(STATUS)


def test_without_a_terminal_or_with_no_color_nothing_is_coloured(
    control: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.answers("GET", "/v1/status", answer(STATUS))
    coloured_only_on_demand(modelctl, ("status",), monkeypatch=monkeypatch)


def doctored(control: "Double", status: Status) -> None:
    control.answers("GET", "/livez", {})
    control.answers("GET", "/readyz", {})
    control.answers("GET", "/v1/status", answer(status))


def test_the_doctor_finds_nothing_on_a_healthy_system_and_asks_no_model(control: "Double", modelctl: "Run") -> None:
    doctored(control, STATUS)
    ran = modelctl("doctor", "-o", "json")
    assert ran.code == 0
    assert {finding["state"] for finding in ran.json["findings"]} == {"ok", "warning"}
    assert control.changes == []
    assert {asked.path for asked in control.asked} == {"/livez", "/readyz", "/v1/status"}


LATE = replaced(STATUS.evidence, lag=300.0, committed=900)


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({"workers": ()}, "routers"),
        ({"workers": (WorkerStatus(worker="r", version=11, alive=True, refused=12, why="no"),)}, "worker r"),
        ({"evidence": LATE}, "evidence"),
    ],
)
def test_the_doctor_names_what_is_broken_and_how_to_mend_it(
    control: "Double", modelctl: "Run", *, changed: dict[str, Any], broken: str
) -> None:
    doctored(control, replaced(STATUS, **changed))
    ran = modelctl("doctor")
    assert ran.code == 1
    assert ran.err == f"error: broken: {broken}\n"
    assert any(line.startswith(broken) and "broken" in line and not line.rstrip().endswith(" -") for line in ran.out.splitlines())


def test_the_doctor_says_when_the_database_is_what_is_broken(control: "Double", modelctl: "Run") -> None:
    doctored(control, STATUS)
    control.refuses("GET", "/readyz", code="schema-outdated", detail="The schema is old.")
    ran = modelctl("doctor")
    assert ran.code == 1
    assert "run `modelctl db upgrade`" in ran.out


NOW = 1_760_000_000_000  # Unix milliseconds


def waiting(*backlogs: Backlog) -> Status:
    """A healthy system but for what waits."""
    return replaced(STATUS, at=NOW, evidence=replaced(STATUS.evidence, backlogs=backlogs))


def behind(seconds: float, *, name: str = "w0-1", records: int = 1_200) -> Backlog:
    """A spool whose first record has waited so long."""
    return Backlog(name=name, bytes=345_678, records=records, oldest_at=int((NOW / 1_000 - seconds) * 1_000_000))


def test_the_doctor_shows_what_waits_in_each_spool_and_for_how_long(control: "Double", modelctl: "Run") -> None:
    doctored(control, waiting(behind(12.0), behind(3.0, name="w1-1", records=34)))
    ran = modelctl("doctor", "-o", "json")
    assert ran.code == 0
    found = {finding["what"]: (finding["state"], finding["found"]) for finding in ran.json["findings"]}
    assert found["spools"] == ("ok", "691,356 bytes, 1,234 records wait, the oldest 12s old")
    assert found["spool w0-1"] == ("ok", "345,678 bytes, 1,200 records wait, the oldest 12s old")
    assert found["spool w1-1"] == ("ok", "345,678 bytes, 34 records wait, the oldest 3s old")


def test_records_that_wait_for_minutes_are_something_broken(control: "Double", modelctl: "Run") -> None:
    doctored(control, waiting(behind(200.0)))
    ran = modelctl("doctor")
    assert ran.code == 1
    assert ran.err == "error: broken: spools, spool w0-1\n"
    assert "the oldest 3m 20s old" in ran.out
    assert "see whether the recorder runs" in ran.out


def test_of_many_spools_those_that_wait_longest_have_a_line(control: "Double", modelctl: "Run") -> None:
    doctored(control, waiting(*(behind(50.0 - number, name=f"w{number}", records=1) for number in range(30))))
    found = [finding["what"] for finding in modelctl("doctor", "-o", "json").json["findings"]]
    assert [what for what in found if what.startswith("spool ")] == [f"spool w{number}" for number in range(10)]


def test_an_idle_system_is_no_broken_one(control: "Double", modelctl: "Run") -> None:
    doctored(control, replaced(STATUS, evidence=replaced(LATE, committed=998)))
    ran = modelctl("doctor")
    assert ran.code == 0
    assert "fine without traffic" in ran.out


def test_watching_shows_each_change_and_outlives_a_control_plane_that_is_away(control: "Double", tmp_path: Path) -> None:
    paused = replaced(STATUS.routes[0], rollout=replaced(ROLLOUT, phase="paused"))
    control.answers("GET", "/v1/status", answer(STATUS), answer(replaced(STATUS, routes=(paused,))))
    log = tmp_path / "log"
    with log.open("w") as out:
        environment = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1]), "PYTHONUNBUFFERED": "1"}
        process = subprocess.Popen(
            [sys.executable, "-m", "modelctl", "status", "-w"], env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        for said in ("canary 7 · progressing", "canary 7 · paused", "The database is away. · asking again every 2 seconds"):
            deadline = time.monotonic() + 20
            while said not in log.read_text():
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            if "paused" in said:
                control.refuses("GET", "/v1/status", code="store-error", detail="The database is away.")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()
    assert log.read_text().count("canary 7 · progressing") == 1
