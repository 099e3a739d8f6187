"""The report, given what a control plane answers: its own values, encoded as it encodes them."""

from typing import TYPE_CHECKING

import msgspec
import pytest

from modelctl.controlplane.judgement.companion import Companion
from modelctl.controlplane.judgement.comparison import Row
from modelctl.controlplane.judgement.judging import Judgement
from modelctl.controlplane.report.content import Aggregates, ArmSplit, Attempt, Report, StageLine, Trust
from modelctl.controlplane.report.details import Details
from modelctl.controlplane.report.disagreement import Disagreement
from modelctl.controlplane.report.field_table import FieldPath, FieldTable
from modelctl.controlplane.report.label_coverage import LabelCoverage
from modelctl.controlplane.report.label_mix import LabelMix, LabelShare, OneLookTest
from modelctl.controlplane.report.measure import Measure
from modelctl.controlplane.report.noise_floor import FieldNoise, NoiseFloor
from modelctl.controlplane.report.shapes import Accuracy, Confusion, Latency, Move, Numbers, Outcomes, Quantile
from modelctl.controlplane.report.slices import Slice, Slices
from tests.cli.answers import FUNNEL, answer, coloured_only_on_demand, replaced

if TYPE_CHECKING:
    from tests.cli.conftest import Double, Run


def row(**changed: object) -> Row:
    whole = Row(
        candidate_name="fraud-v7",
        metric="failures_paired",
        title="failures on the same requests",
        role="guarded",
        unit="share",
        baseline=0.01,
        candidate=0.05,
        estimate=0.04,
        lower=0.02,
        upper=0.06,
        null=0.0,
        n=980,
        counts="pairs",
        method="grid betting",
        alpha=0.05,
        log10_e=4.2,
        state="ok",
        finding="worse",
    )
    return msgspec.structs.replace(whole, **changed)


def quantile(q: float, value: float, *, enough: bool = True) -> Quantile:
    return Quantile(q=q, value=value, lower=value * 0.9, upper=value * 1.1 if enough else None, enough=enough)


REPORT = Report(
    route="fraud",
    generated_at=1_700_000_100_000_000,
    evidence_at=1_700_000_040_000_000,
    rollout=Attempt(
        id=7,
        strategy="shadow",
        phase="progressing",
        baseline="fraud-v6",
        candidates=("fraud-v7",),
        step=0,
        steps=("100% shown to fraud-v7",),
        winner="",
        opened_at=1_700_000_000_000,
        closed_at=0,
        actor="ada",
        reason="",
    ),
    verdict=Judgement(
        word="rollback",
        sentence="fraud-v7 fails more: 5% against 1%.",
        needs=("fraud-v7, failure rate: 0% to 3%, so neither harm nor its absence is proven.",),
        commands=("modelctl rollback fraud",),
    ),
    trust=Trust(
        log10_e=None,
        blocked=True,
        arms=(ArmSplit(arm="fraud-v6", observed=10, expected=9.5),),
        stages=(
            StageLine(
                id=3,
                opened_at=1_700_000_000_000,
                closed_at=0,
                answers={"fraud-v6": 10_000, "fraud-v7": 0},
                shown={"fraud-v7": 10_000},
                requests={"fraud-v6": 990},
            ),
        ),
        notes=("Requests of one unit come together.",),
    ),
    funnels=(FUNNEL,),
    rows=(
        row(),
        row(
            title="failure rate, ratio",
            unit="ratio",
            estimate=None,
            lower=None,
            upper=None,
            null=1.0,
            finding="no-data",
            reason="no data yet",
        ),
        row(title="number", unit="value", role="info", lower=-12_345.0, upper=None, estimate=3.0, finding="shown"),
    ),
    confusions=(
        Confusion(
            candidate="fraud-v7",
            labels=("fraud", "ok"),
            counts=((90, 10), (5, 875)),
            n=980,
            uncounted=3,
            equal=965 / 980,
            kappa=0.91,
            kappa_lower=0.87,
            kappa_upper=0.95,
            reason="",
            moves=(Move("fraud", "ok", 10), Move("ok", "fraud", 5)),
        ),
    ),
    numbers=(
        Numbers(
            candidate="fraud-v7",
            n=980,
            baseline_mean=10.0,
            candidate_mean=10.5,
            bias=0.5,
            sd=1.0,
            lower_limit=-1.46,
            upper_limit=2.46,
            constant=False,
        ),
    ),
    latencies=(
        Latency(arm="fraud-v6", shown=False, n=990, quantiles=(quantile(0.5, 4.0), quantile(0.99, 20.0))),
        Latency(arm="fraud-v7", shown=True, n=20, quantiles=(quantile(0.5, 5.0), quantile(0.99, 9.0, enough=False))),
    ),
    outcomes=(Outcomes(arm="fraud-v6", n=990, counts={"ok": 980, "timeout": 10}, failures=10, failure_rate=10 / 990),),
    feedback=(Accuracy(arm="fraud-v7", shown=True, labels=50, correct=45, accuracy=0.9, numbers=0, mean_absolute_error=None),),
    worst=(
        Disagreement(
            prediction_id="0" * 32,
            request_id="req-1",
            at=1_700_000_000_000_000,
            candidate="fraud-v7",
            baseline_prediction="fraud",
            candidate_prediction="\x1b[31mok",
            difference=None,
            baseline_status=200,
            candidate_status=200,
            request_preview='{"amount": ' + "9" * 100 + "}",
            request_size=111,
        ),
    ),
    audit=(),
    aggregates=Aggregates(sums=(), pivots={}),
)


def shown_report(control: "Double", modelctl: "Run", *, report: Report = REPORT) -> str:
    control.answers("GET", "/v1/routes/fraud/report", answer(report))
    ran = modelctl("report", "fraud")
    assert ran.code == 0
    return ran.out


def test_a_gate_is_shown_with_its_harm_its_margin_and_the_forecast(control: "Double", modelctl: "Run") -> None:
    gate = row(
        title="failed answers",
        role="guardrail",
        finding="open",
        gate="error_rate:guardrail:margin=0.005",
        margin=0.005,
        margin_unit="points",
        harm_lower=None,
        harm_upper=0.0093,
        forecast="about 61,000 more requests",
    )
    control.answers("GET", "/v1/routes", {"items": [{"name": "fraud"}]})
    control.answers("GET", "/v1/routes/fraud/report", answer(replaced(REPORT, rows=(gate,))))
    out = modelctl("report").out
    assert "Gates" in out
    (said,) = [line for line in out.splitlines() if "unbounded to 0.93 pt" in line]
    for part in ("failed answers", "guardrail", "0.5 pt", "open", "980 pairs", "about 61,000 more requests"):
        assert part in said, part


def test_the_report_shows_every_part_in_the_order_people_decide_by(control: "Double", modelctl: "Run") -> None:
    out = shown_report(control, modelctl)
    parts = (
        "ROLLBACK  fraud-v7 fails more: 5% against 1%.",
        "shadow of fraud-v7 against fraud-v6 on route fraud · rollout 7, progressing, 100% shown to fraud-v7",
        "1m old",
        "next: modelctl rollback fraud",
        "split check: not as assigned: results cannot be trusted (log10 E infinite",
        "note: Requests of one unit come together.",
        "shadow fraud-v7: eligible 1,000 -> sampled 990",
        "Decision table",
        "open: fraud-v7, failure rate",
        "Labels: fraud-v6 (rows) against fraud-v7 (columns)",
        "98.47% of 980 have the same label · kappa 0.91 (0.87 to 0.95, valid for one look)",
        "3 more had too many different labels to count · fraud -> ok 10 times",
        "980 pairs · mean 10 -> 10.5 · mean difference 0.5 · 95% of the differences lie from -1.46 to 2.46",
        "Latency",
        "Answers to clients",
        "ok 980 · timeout 10",
        "Worst disagreements",
        "req-1",
        "Feedback",
        "45 of 50",
    )
    places = [out.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)


def test_a_decision_is_a_word_and_an_interval_in_numbers_and_drawn(control: "Double", modelctl: "Run") -> None:
    lines = shown_report(control, modelctl).splitlines()
    place, worse = next((place, line) for place, line in enumerate(lines) if "failures on the same requests" in line)
    assert worse.split()[-6:] == ["2%", "to", "6%", "worse", "980", "pairs"]
    assert lines[place + 1].strip() == "|       --------o--------"
    ratio = next(line for line in lines if "failure rate, ratio" in line)
    assert "no-data: no data yet" in ratio
    assert ratio.split()[3:6] == ["1%", "5%", "-"]
    info = next(line for line in lines if line.startswith("number"))
    assert "-12,345 to unbounded" in info
    assert "shown only" in info


def test_a_quantile_of_too_few_requests_says_so_instead_of_a_number(control: "Double", modelctl: "Run") -> None:
    lines = shown_report(control, modelctl).splitlines()
    assert "4.0 ms (3.6 ms to 4.4 ms)" in next(line for line in lines if line.startswith("fraud-v6") and "answered" in line)
    assert "too few" in next(line for line in lines if "fraud-v7" in line and "shown" in line and "5.0 ms" in line)


def test_what_models_and_clients_wrote_cannot_steer_the_terminal(control: "Double", modelctl: "Run") -> None:
    hostile = replaced(REPORT.confusions[0], labels=("\x1b[2J", "ok"), moves=(Move("\x1b[2J", "ok", 10),))
    out = shown_report(control, modelctl, report=replaced(REPORT, confusions=(hostile,)))
    assert "\x1b" not in out
    assert "\\x1b[2J -> ok 10 times" in out
    assert "\\x1b[31mok" in out
    assert "9" * 61 not in out


def test_a_report_without_evidence_says_what_is_missing(control: "Double", modelctl: "Run") -> None:
    empty = dict.fromkeys(("funnels", "rows", "confusions", "numbers", "latencies", "outcomes", "feedback", "worst"), ())
    out = shown_report(control, modelctl, report=replaced(REPORT, evidence_at=None, **empty))
    for said in ("evidence: none yet", "nothing is compared yet", "no answers yet", "none recorded", "modelctl feedback send"):
        assert said in out, said


def test_the_report_in_json_is_the_object_of_the_api_and_in_md_its_markdown(control: "Double", modelctl: "Run") -> None:
    control.answers("GET", "/v1/routes/fraud/report", answer(REPORT))
    assert modelctl("report", "fraud", "-o", "json").json == answer(REPORT)
    control.answers("GET", "/v1/routes/fraud/report", b"# fraud: rollback\n")
    assert modelctl("report", "fraud", "--rollout", "7", "-o", "md").out == "# fraud: rollback\n"
    assert control.asked[-1].query == {"format": "md", "rollout": "7"}


def test_without_a_terminal_or_with_no_color_nothing_is_coloured(
    control: "Double", modelctl: "Run", *, monkeypatch: pytest.MonkeyPatch
) -> None:
    control.answers("GET", "/v1/routes/fraud/report", answer(REPORT))
    coloured_only_on_demand(modelctl, ("report", "fraud"), monkeypatch=monkeypatch)


def measured(estimate: float | None, lower: float | None, upper: float | None, *, unit: str = "share") -> Measure:
    return Measure(
        n=400,
        counts="pairs",
        unit=unit,
        estimate=estimate,
        lower=lower,
        upper=upper,
        level=0.95,
        null=0.0,
        log10_e=2.5,
        method="grid-betting",
        source="docs/statistics.md#the-same-requests-pairs",
        reason="" if estimate is not None else "no pairs yet",
    )


def sliced(value: str, *, flagged: bool = False) -> Slice:
    return Slice(
        candidate="fraud-v7",
        kind="failures on the same requests",
        dimension="device",
        value=value,
        baseline=0.01,
        candidate_value=0.2,
        measure=measured(0.19, 0.1, None),
        flagged=flagged,
        direction="worse",
        sentence="",
    )


SCORE = FieldPath(path="score", n=400, equal=360, value=30, type=0, missing=10, extra=0, measure=measured(0.9, 0.8, 0.95))
DETAILS = Details(
    slices=Slices(
        compared=30,
        flagged=1,
        false_discovery_rate=0.1,
        first=(sliced("\x1b[31mphone", flagged=True), sliced("tv")),
        sentence="1 stand out, first device phone.",
        note="Units are kept on their arm.",
    ),
    noise=(
        NoiseFloor(
            candidate="fraud-v7",
            n=400,
            raw=30,
            noise=40,
            both=5,
            excess=measured(-0.02, -0.05, 0.01),
            measure=measured(0.4, 0.3, 0.6),
            relative_percent=14.2,
            absolute_percent=2.5,
            places=1,
            flagged=0,
            false_discovery_rate=0.1,
            excluded=("id",),
            fields=(
                FieldNoise(
                    path="id",
                    n=400,
                    raw=390,
                    noise=391,
                    both=385,
                    measure=measured(0.45, 0.1, 0.8),
                    flagged=False,
                    exclude=True,
                    relative_percent=0.1,
                    absolute_percent=0.2,
                    flagged_by_diffy=False,
                    sentence="",
                ),
            ),
            sentence="The baseline disagrees with itself.",
        ),
    ),
    fields=(
        FieldTable(
            candidate="fraud-v7",
            n=400,
            paths=1,
            differing=1,
            equal=0.9,
            first=(
                FieldPath(path="score", n=400, equal=360, value=30, type=0, missing=10, extra=0, measure=measured(0.9, 0.8, 0.95)),
            ),
            sentence="1 of 1 places differ.",
        ),
    ),
    labels=(
        LabelMix(
            candidate="fraud-v7",
            design="paired",
            n=400,
            n_baseline=400,
            n_candidate=400,
            estimate=0.06,
            psi=0.02,
            expected_psi=0.005,
            jensen_shannon_bits=0.01,
            cramers_v=None,
            log10_e=None,
            tests=(OneLookTest(name="Bowker", statistic=9.0, df=1, p=0.003),),
            labels=(LabelShare(label="ok", baseline=300, candidate=276, measure=measured(-0.06, -0.1, -0.02)),),
            largest=LabelShare(label="ok", baseline=300, candidate=276, measure=None),
            source="",
            sentence="The mix is 6% away.",
        ),
    ),
    truth=LabelCoverage(
        n=400,
        labelled=100,
        estimate=0.25,
        arms=(),
        state="provisional",
        tested=True,
        log10_e=0.1,
        blocked=False,
        source="",
        sentence="The truth is known for 25%.",
    ),
)


def test_the_report_explains_itself_with_slices_noise_places_labels_and_their_sentences(control: "Double", modelctl: "Run") -> None:
    out = shown_report(control, modelctl, report=replaced(REPORT, details=DETAILS))
    parts = (
        "Mix of labels: fraud-v7, the same requests",
        "The mix is 6% away.",
        "PSI 0.02 (about 0.005 when nothing changed)",
        "Bowker p 0.003 (valid for one look only)",
        "Noise floor: fraud-v7",
        "The baseline disagrees with itself.",
        "Diffy: relative 14.2%, absolute 2.5%",
        "proposed for exclusion, nothing is excluded by itself: id",
        "Places in the answers: fraud-v7",
        "1 of 1 places differ.",
        "Slices (they decide nothing)",
        "1 stand out, first device phone.",
        "Units are kept on their arm.",
        "device \\x1b[31mphone",
        "10 more: -o json",
        "labels are provisional: The truth is known for 25%.",
    )
    places = [out.find(part) for part in parts]
    assert -1 not in places, parts[places.index(-1)]
    assert places == sorted(places)
    line = next(line for line in out.splitlines() if line.startswith("device \\x1b"))
    assert "19%" in line
    assert "10% to unbounded" in line
    assert line.endswith("worse, stands out")


def test_beside_a_row_stands_what_is_valid_for_one_look_only(control: "Double", modelctl: "Run") -> None:
    grey = Companion(method="newcombe", unit="share", estimate=0.04, lower=0.03, upper=None, p=0.002, n=980, source="")
    out = shown_report(control, modelctl, report=replaced(REPORT, rows=(row(companion=grey),)))
    assert "failures on the same requests: newcombe 4%, 3% to unbounded, p 0.002 (valid for one look only)" in out


def test_below_the_table_stands_once_where_each_method_is_explained(control: "Double", modelctl: "Run") -> None:
    paired = row(method="grid-betting", source="docs/statistics.md#the-same-requests-pairs")
    out = shown_report(control, modelctl, report=replaced(REPORT, rows=(paired, paired, row())))
    assert out.count("How it is computed: grid-betting: docs/statistics.md#the-same-requests-pairs") == 1
