"""What stands out, examples, paths and digests of a report in a terminal, and the report as a page in a file."""

from pathlib import Path
from typing import TYPE_CHECKING

from modelctl.controlplane.report.content import Report
from modelctl.controlplane.report.curl import Curl
from modelctl.controlplane.report.differences import DifferenceBin, DifferenceSample
from modelctl.controlplane.report.disagreement import Disagreement
from modelctl.controlplane.report.examples import SliceExamples
from modelctl.controlplane.report.latency_curves import LatencyCurve
from modelctl.controlplane.report.over_time import Look, Opened, OverTime
from modelctl.controlplane.report.reproduction import Reproduction
from modelctl.controlplane.report.slices import Slice
from modelctl.controlplane.report.standing_out import StandingOut, StandsOut
from tests.cli.answers import answer, replaced
from tests.cli.test_report import REPORT, measured

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run

PATH = "/v1/routes/fraud/report"
CURL = "curl -sS --data-raw '" + "9" * 400 + "' http://127.0.0.1:8002/fraud"
OPEN = "modelctl report fraud --rollout 7 --slice device=phone"
AT = 1_700_000_000_000
EXAMPLES = tuple(
    Disagreement(
        prediction_id=f"{number:032}",
        request_id=f"req-{number}",
        at=AT * 1_000,
        candidate="fraud-v7",
        baseline_prediction="no",
        candidate_prediction="yes\x1b[31m",
        difference=None,
        baseline_status=200,
        candidate_status=200,
        request_preview='{"device":"phone"}',
        request_size=18,
        baseline_preview='{"label":"no"}',
        candidate_preview='{"label":"yes"}',
        redacted=number == 2,
        commands=(Curl(backend="fraud-v6", command=CURL.replace("8002", "8001")), Curl(backend="fraud-v7", command=CURL)),
        remark="values were taken out" if number == 2 else "",
    )
    for number in range(3)
)
PHONE = Slice(
    candidate="fraud-v7",
    kind="different predictions",
    dimension="device",
    value="phone",
    baseline=0.01,
    candidate_value=0.4,
    measure=measured(0.39, 0.2, 0.6),
    flagged=True,
    direction="more",
    sentence="device phone: fraud-v7 differs on 40% of 400 pairs, elsewhere on 1%.",
)
SHOWN = SliceExamples(
    candidate="fraud-v7", kind="different predictions", dimension="device", value="phone", command=OPEN, found=EXAMPLES
)
PATHS = (
    OverTime(
        candidate="fraud-v7",
        title="failed answers",
        gate="error_rate:guardrail:margin=0.02",
        design="paired",
        unit="points",
        margin=0.02,
        null=0.0,
        looks=tuple(
            Look(at=AT + n * 60_000, n=100 * n, lower=-0.1 / n, estimate=0.0, upper=0.1 / n, finding="open") for n in range(1, 21)
        ),
        proven_at=0,
        proven="",
        sentence="fraud-v7, failed answers: the interval is known.",
    ),
)
WHOLE: Report = replaced(
    REPORT,
    standing_out=StandingOut(
        sentence="Not everywhere alike: device phone stands out.",
        first=(StandsOut(candidate="fraud-v7", dimension="device", value="phone", slice=PHONE, also=(), examples=SHOWN),),
    ),
    over_time=PATHS,
    stages_opened=(Opened(at=AT, title="100% shown to fraud-v7"),),
    examples=(SHOWN,),
    curves=(LatencyCurve(arm="fraud-v6", shown=True, of="fraud-v7", n=980, points=((4.0, 1.0),), quantiles={"0.5": 4.0}),),
    differences=(
        DifferenceSample(
            candidate="fraud-v7",
            n=9,
            equal=1,
            points=(),
            bins=(DifferenceBin(low=-1.0, high=0.0, n=1), DifferenceBin(low=0.0, high=1.0, n=8)),
            sentence="Of the newest 9 pairs with numbers, 11.1% are equal.",
        ),
    ),
    reproduction=Reproduction(
        version="0.1.0",
        rollout=7,
        revision=3,
        unit="request",
        engine="anytime",
        mode="advise",
        alpha_rollback=0.05,
        alpha_promote=0.05,
        sums=12,
        evidence_sha256="e" * 64,
        terms_sha256="d" * 64,
        commands=("modelctl report fraud --rollout 7 -o json",),
    ),
)


def shown(control: "Double", modelctl: "Run", *options: str) -> str:
    control.answers("GET", PATH, answer(WHOLE))
    ran = modelctl("report", "fraud", *options)
    assert ran.code == 0
    return ran.out


def test_the_first_screen_names_the_slice_its_interval_and_the_command_that_opens_examples(
    control: "Double", modelctl: "Run"
) -> None:
    first = shown(control, modelctl).splitlines()[:16]
    said = "\n".join(first)
    for part in ("What stands out", "device phone", "20% to 60%", "-o-", "example req-0: baseline said no", f"open them: {OPEN}"):
        assert part in said, part
    assert len([line for line in first if "example req-" in line]) == 3


def test_examples_of_a_slice_are_whole_side_by_side_and_can_be_copied(control: "Double", modelctl: "Run") -> None:
    out = shown(control, modelctl, "--slice", "device=phone")
    assert control.asked[-1].query == {"slice": "device=phone"}
    assert out.splitlines().count(CURL) == 3, "on one line each, however long"
    sides = next(line for line in out.splitlines() if '{"label":"no"}' in line)
    assert '{"label":"yes"}' in sides
    assert "redacted before it was recorded" in out
    assert "values were taken out" in out
    assert "\x1b" not in out


def test_a_slice_without_examples_says_so(control: "Double", modelctl: "Run") -> None:
    assert shown(control, modelctl, "--slice", "device=fridge") == "no example of device=fridge is recorded\n"


def test_the_worst_disagreements_can_be_opened_alone(control: "Double", modelctl: "Run") -> None:
    out = shown(control, modelctl, "--worst")
    assert "req-1: baseline said fraud, fraud-v7 said" in out
    assert "Decision table" not in out


def test_the_interval_over_time_is_drawn_at_a_few_looks_on_one_scale(control: "Double", modelctl: "Run") -> None:
    lines = shown(control, modelctl).splitlines()
    start = next(place for place, line in enumerate(lines) if "The interval over time" in line)
    assert "100% shown to fraud-v7" in lines[start + 1]
    looks = [line for line in lines[start:] if "open" in line and " pt" in line][:6]
    assert [line.split()[2] for line in looks] == ["100", "500", "900", "1,200", "1,600", "2,000"]
    drawn = [line.count("-o") and len(line.split("pt")[-1]) for line in looks]
    assert all(drawn)
    widths = [line.split(" pt ")[-1].count("-") for line in looks]
    assert widths == sorted(widths, reverse=True)


def test_differences_latencies_history_and_digests_are_said(control: "Double", modelctl: "Run") -> None:
    out = shown(control, modelctl)
    for part in (
        "Of the newest 9 pairs with numbers",
        "-1 [▁█] 1",
        "on the same requests: fraud-v6 p50 4.0 ms (n 980)",
        "Noise floor: not measured",
        f"evidence sha256 {'e' * 64} (12 sums) · terms sha256 {'d' * 64}",
        "modelctl report fraud --rollout 7 -o json",
        "modelctl report fraud --rollout 7 --worst",
    ):
        assert part in out, part


def test_the_page_is_written_whole_into_the_file(control: "Double", modelctl: "Run", *, tmp_path: Path) -> None:
    control.answers("GET", PATH, "<!doctype html>ü".encode())
    file = tmp_path / "report.html"
    ran = modelctl("report", "fraud", "--rollout", "7", "--html", str(file))
    assert (ran.code, ran.out) == (0, "")
    assert control.asked[-1].query == {"format": "html", "rollout": "7"}
    assert file.read_text(encoding="utf-8") == "<!doctype html>ü"
    assert "report.html: 0 kB" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_says_why(control: "Double", modelctl: "Run", *, tmp_path: Path) -> None:
    control.answers("GET", PATH, b"<!doctype html>")
    ran = modelctl("report", "fraud", "--html", str(tmp_path / "nowhere" / "report.html"))
    assert ran.code == 1
    assert "No such file or directory; name another file with --html" in ran.err
