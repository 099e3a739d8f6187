"""A shadow of the two demonstration models: what the program measures is what the models, asked without a network, say."""

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from modelctl.demo.answers import Answered, answers_to_traffic, question_of
from modelctl.demo.rows import read_dataset
from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Ask, Load, Reply, failures
from tests.acceptance.program import Process, Program, running, until

LABELS = ("benign", "malignant")


class Comparison(NamedTuple):
    """What was asked and answered, what both models really say about each request, and the program that compared them."""

    program: Program
    ledger: Ledger
    replies: list[Reply]
    truth: dict[str, Answered]

    @property
    def report(self) -> dict[str, Any]:
        """What `modelctl report` says."""
        report: dict[str, Any] = self.program.modelctl("report", "-o", "json").done().json
        return report


def demo_model(stack: ExitStack, version: str, *, folder: Path) -> str:
    """A running demonstration model; its URL."""
    process = Process("modelctl.demo.model", "--version", version, "--listen", "127.0.0.1:0", log=folder / version, settings={})
    stack.callback(process.kill)
    listening = until(lambda: re.search(r"http://127\.0\.0\.1:\d+", process.said), what=f"model {version}")
    assert listening
    return listening[0]


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Comparison]:
    """All rows of the traffic, each asked once while the second model is shown everything."""
    dataset = read_dataset()
    truth = {f"row-{number}": answered for number, answered in enumerate(answers_to_traffic(dataset))}
    asks = [
        Ask(id_, msgspec.json.encode(question_of(answered.row, dataset.names)), "/predict", f"patient-{id_}")
        for id_, answered in truth.items()
    ]
    folder = tmp_path_factory.mktemp("shadow")
    with ExitStack() as stack:
        urls = {version: demo_model(stack, version, folder=folder) for version in ("v1", "v2")}
        program = stack.enter_context(running(folder / "data"))
        for version, url in urls.items():
            program.modelctl("backend", "add", f"cancer-{version}", url, "--prediction", "/label").done()
        program.modelctl("route", "add", "cancer", "--path", "/predict", "--backend", "cancer-v1").done()
        program.modelctl("shadow", "--percent", "100").done()
        replies = Load(program.port, asks, connections=8).run()
        ledger = Ledger(program.database_url)
        ledger.recorded(replies, "row")
        until(lambda: ledger.one("SELECT count(*) FROM pair") >= len(asks), what="pairs")
        yield Comparison(program, ledger, replies, truth)


def test_every_client_gets_the_baselines_answer_and_nothing_of_the_shadow(comparison: Comparison) -> None:
    assert not failures(comparison.replies)
    assert {reply.arm for reply in comparison.replies} == {"cancer-v1"}
    assert {msgspec.json.decode(reply.body)["model"] for reply in comparison.replies} == {"v1"}
    assert {reply.ask.id: reply.label for reply in comparison.replies} == {id_: said.v1 for id_, said in comparison.truth.items()}


def test_the_database_holds_a_pair_for_every_request_with_what_each_model_says(comparison: Comparison) -> None:
    rows = comparison.ledger.rows("SELECT request_id, baseline_label, candidate_label, agree, baseline, candidate FROM pair")
    recorded = {row.request_id: (row.baseline_label, row.candidate_label, row.agree) for row in rows}
    assert recorded == {id_: (said.v1, said.v2, int(said.v1 == said.v2)) for id_, said in comparison.truth.items()}
    assert len(rows) == len(comparison.truth) == 284
    assert {(row.baseline, row.candidate) for row in rows} == {("cancer-v1", "cancer-v2")}


def test_the_confusion_matrix_of_the_report_is_the_one_computed_without_a_network(comparison: Comparison) -> None:
    (confusion,) = comparison.report["confusions"]
    counted = Counter((said.v1, said.v2) for said in comparison.truth.values())
    assert confusion["labels"] == list(LABELS)
    assert confusion["counts"] == [[counted[baseline, candidate] for candidate in LABELS] for baseline in LABELS]
    assert confusion["n"] == 284
    assert confusion["uncounted"] == 0


def test_no_request_is_lost_on_the_way_through_the_funnel(comparison: Comparison) -> None:
    (funnel,) = comparison.report["funnels"]
    stages = ("eligible", "sampled", "sent", "answered", "parsed", "paired")
    assert {stage: funnel[stage] for stage in stages} == dict.fromkeys(stages, 284)
    assert funnel["skipped"] == {}
    assert funnel["losses"] == []


def test_the_worst_disagreements_of_the_report_are_disagreements_of_the_models(comparison: Comparison) -> None:
    worst = comparison.report["worst"]
    assert worst
    for line in worst:
        said = comparison.truth[line["request_id"]]
        assert (line["baseline_prediction"], line["candidate_prediction"]) == (said.v1, said.v2)
        assert said.v1 != said.v2


def test_the_report_says_the_same_in_every_form(comparison: Comparison) -> None:
    word = comparison.report["verdict"]["word"]
    for form in ("table", "md"):
        told = comparison.program.modelctl("report", "cancer", "-o", form).done().out
        assert word in told.lower()
        assert "cancer-v2" in told
        assert "284" in told


def test_the_laws_of_conservation_hold(comparison: Comparison) -> None:
    comparison.ledger.conserved()
