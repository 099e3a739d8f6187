"""The report and the status, from a store that a recorder could have filled."""

import gzip

import msgspec
import pytest
from sqlalchemy import Engine, insert

from modelctl.controlplane.fleet import WorkerStatus
from modelctl.controlplane.operations.feedback import FeedbackItem, record_feedback
from modelctl.controlplane.operations.moving import Move, move_rollout
from modelctl.controlplane.report.content import Report, write_report
from modelctl.controlplane.report.gathering import findings
from modelctl.controlplane.report.markdown import markdown
from modelctl.controlplane.report.status import Status, read_status
from modelctl.errors import NotFound
from modelctl.rollout import Verb
from modelctl.store.engine import writing
from modelctl.store.summing import Sum
from modelctl.store.tables import spool
from tests.controlplane.scene import (
    ANN,
    AT,
    counts,
    join_feedback,
    populate,
    served,
    start,
    store_pair,
    store_prediction,
    store_sums,
)

MINUTE = AT // 60_000_000
NOW = AT + 90_000_000


def report(engine: Engine, rollout: int | None = None) -> Report:
    return write_report(findings(engine, "fraud", rollout=rollout), at=NOW)


def status(engine: Engine, route: str | None = None) -> Status:
    workers = [WorkerStatus(worker="w0", version=4, alive=True)]
    return read_status(engine, route, workers=workers, at=NOW)


def shadowed(engine: Engine) -> None:
    """Rollout 1: b shadows a, with 200 pairs over two minutes."""
    populate(engine, "a", "b")
    start(engine, "shadow")
    half = [
        *served("a", 100, 1),
        *counts("b", "pair_error", {"0": 99, "-": 1}),
        *counts("b", "agreement", {"equal": 90, "different": 9}),
        *counts("b", "confusion", {'["no","no"]': 80, '["no","yes"]': 9, '["yes","yes"]': 10}),
        *counts("b", "funnel", {"eligible": 100, "sampled": 100, "sent": 100, "answered": 99, "parsed": 99, "paired": 100}),
        *counts("a", "latency", {"500": 100}),
        *counts("b", "pair_latency", {"baseline:500": 99, "candidate:520": 99}),
    ]
    store_sums(engine, half, rollout=1, minute=MINUTE)
    store_sums(engine, half, rollout=1, minute=MINUTE + 1)


def test_a_report_adds_the_minutes_up(engine: Engine) -> None:
    shadowed(engine)
    found = report(engine)
    assert (found.report_version, found.route, found.rollout.id, found.generated_at) == (1, "fraud", 1, NOW)
    assert found.evidence_at == NOW, "the last minute is not over yet"
    later = write_report(findings(engine, "fraud"), at=NOW + 3_600_000_000)
    assert later.evidence_at == (MINUTE + 2) * 60_000_000
    (funnel,) = found.funnels
    assert (funnel.eligible, funnel.paired) == (200, 200)
    assert [(row.metric, row.n) for row in found.rows] == [("failures_paired", 200), ("agreement", 198)]
    assert found.confusions[0].counts == ((160, 18), (0, 20))
    assert [(arm.arm, arm.observed) for arm in found.trust.arms] == [("a", 200), ("b", 0)]
    assert [(one.arm, one.shown, one.n) for one in found.latencies] == [("a", False, 200), ("b", True, 198)]


def test_a_report_carries_what_it_was_computed_from(lite: Engine) -> None:
    shadowed(lite)
    sums = {(one.arm, one.metric, one.key): one.n for one in report(lite).aggregates.sums}
    assert sums["b", "pair_error", "-"] == 2
    assert sums["b", "agreement", "equal"] == 180


def test_a_report_is_the_same_after_a_way_through_json(lite: Engine) -> None:
    shadowed(lite)
    found = report(lite)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Report) == found


def test_the_report_is_of_the_open_rollout_else_of_the_last_one_else_of_the_one_asked_for(lite: Engine) -> None:
    populate(lite, "a", "b")
    with pytest.raises(NotFound, match="has had no rollout yet"):
        report(lite)
    start(lite)
    move_rollout(lite, 1, move=Move(verb=Verb.ROLLBACK), author=ANN)
    assert report(lite).rollout.phase == "rolled-back"
    start(lite)
    assert report(lite).rollout.id == 2
    assert report(lite, 1).rollout.id == 1
    with pytest.raises(NotFound, match="no rollout 9"):
        report(lite, 9)
    with pytest.raises(NotFound, match="there is no route 'spam'"):
        findings(lite, "spam")


def test_the_worst_disagreements_are_the_largest_differences_and_then_the_labels(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine, "shadow")
    for number in range(14):
        store_pair(engine, f"n{number:02}", baseline_number=0.0, candidate_number=number - 7.0, difference=number - 7.0, agree=0)
    store_pair(engine, "zz", baseline_label="no", candidate_label="yes", agree=0)
    store_pair(engine, "yy", baseline_label="no", candidate_label="no", agree=1)
    worst = report(engine).worst
    assert [one.difference for one in worst] == [-7.0, -6.0, 6.0, -5.0, 5.0, -4.0, 4.0, -3.0, 3.0, -2.0]
    assert (worst[0].baseline_prediction, worst[0].candidate_prediction) == ("0", "-7")


def test_a_disagreement_shows_the_request_and_what_was_predicted(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite, "shadow")
    packed = gzip.compress(b'{"amount": "' + b"9" * 1000)
    more = {"request_encoding": "gzip", "request_body": packed, "request_size": len(packed)}
    store_pair(lite, "p1", request_id="r1", baseline_label="no", candidate_problem="no JSON", agree=0, **more)
    (found,) = report(lite).worst
    assert (found.request_id, found.baseline_prediction, found.candidate_prediction) == ("r1", "no", "none: no JSON")
    assert found.request_preview.startswith('{"amount": "999')
    assert len(found.request_preview) == 400


def test_feedback_and_history_are_part_of_the_report(lite: Engine) -> None:
    shadowed(lite)
    store_prediction(lite, "p1", request_id="r1", label="yes")
    record_feedback(lite, [FeedbackItem(request_id="r1", value="yes")], at=AT)
    join_feedback(lite)
    found = report(lite)
    assert [(one.arm, one.labels, one.accuracy) for one in found.feedback] == [("a", 1, 1.0)]
    assert [event.action for event in found.audit] == ["start"]


def test_an_answer_in_a_candidates_place_is_no_score_of_the_baseline(lite: Engine) -> None:
    shadowed(lite)
    for number, (reason, label) in enumerate([("split", "yes"), ("fallback", "no")]):
        store_prediction(lite, f"p{number}", request_id=f"r{number}", label=label, reason=reason)
        record_feedback(lite, [FeedbackItem(request_id=f"r{number}", value="yes")], at=AT)
    join_feedback(lite)
    assert [(one.arm, one.labels, one.accuracy) for one in report(lite).feedback] == [("a", 1, 1.0)]


def test_fallbacks_stand_in_the_report_with_their_candidate(lite: Engine) -> None:
    shadowed(lite)
    store_sums(lite, counts("b", "funnel", {"fallback": 1_234}), rollout=1)
    assert "- fallback: 1,234 requests of b answered by the baseline" in markdown(report(lite))


def test_markdown_says_the_same_as_the_report(lite: Engine) -> None:
    shadowed(lite)
    store_prediction(lite, "p1", request_id="r1", label="yes")
    record_feedback(lite, [FeedbackItem(request_id="r1", value="yes")], at=AT)
    store_pair(lite, "p9", request_id="r9", baseline_label="no", candidate_label="yes", agree=0)
    join_feedback(lite)
    found = report(lite)
    text = markdown(found)
    assert text.startswith(f"# fraud: {found.verdict.word}\n")
    for part in (
        found.verdict.sentence,
        found.verdict.margins,
        "| b | 200 | 200 | 200 | 198 | 198 | 200 |",
        "2 not answered",
        "| failures on the same requests (only this one failed) | b | 0% | 1% |",
        "| `no` | 160 | 18 |",
        "`no` became `yes` 18 times",
        "| b | shown | 198 |",
        "| a | 200 | backend_error 2, ok 198 | 1% |",
        "| a | answered | 100% of 1 | - |",
        "| `r9` | b | `no` | `yes` | - |",
        "| `ann` | start | `because` |",
    ):
        assert part in text


def test_markdown_of_numbers_and_stages(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite, parameters={"percent_bp": 500, "shadow_bp": 2000})
    store_sums(lite, [Sum(1, "b", "difference", "", 40, 0, 20.0, 60.0)], rollout=1)
    text = markdown(report(lite))
    assert "| b | 40 | - | - | 0.5 |" in text
    assert "| a 95%, b 5% | b 20% |" in text


def test_what_clients_sent_cannot_add_markup(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite, "shadow")
    store_pair(lite, "p1", baseline_label="`|<b>\n# x", candidate_label="yes", agree=0, request_body=b"x|\n| y `", request_size=8)
    line = next(line for line in markdown(report(lite)).splitlines() if "request-p1" in line)
    assert line == r"| `request-p1` | b | `'\|<b> # x` | `yes` | - | `x\| \| y '` |"


def test_the_status_shows_wanted_and_observed_shares(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine)
    store_sums(engine, [*served("a", 900, 9), *served("b", 100, 10)], rollout=1, minute=MINUTE)
    store_sums(engine, [*served("a", 900, 0)], rollout=1, minute=MINUTE - 60)
    (route,) = status(engine).routes
    a, b = route.arms
    assert (a.backend, a.role, a.answers, a.observed) == ("a", "baseline", 9500, 9000.0)
    assert a.observed_stage == pytest.approx(10_000 * 1800 / 1900)
    assert (b.answers, b.observed, b.requests, b.errors, b.error_rate) == (500, 1000.0, 100, 10, 0.1)
    assert route.rollout is not None
    assert (route.rollout.strategy, route.rollout.step, route.rollout.steps, route.rollout.title) == ("canary", 0, 1, "5% to b")
    assert route.rollout.verbs == ("pause", "promote", "rollback", "complete")
    assert route.verdict is not None
    assert route.verdict.word == report(engine).verdict.word


def test_the_status_of_a_shadow_has_its_funnel(lite: Engine) -> None:
    shadowed(lite)
    (route,) = status(lite, "fraud").routes
    assert [(one.candidate, one.eligible) for one in route.funnel] == [("b", 200)]


def test_a_quiet_route_is_its_baseline(lite: Engine) -> None:
    populate(lite, "a")
    store_sums(lite, served("a", 50, 5, stage=0), rollout=0)
    (route,) = status(lite).routes
    assert (route.rollout, route.verdict, route.funnel) == (None, None, ())
    assert [(arm.backend, arm.answers, arm.observed, arm.error_rate) for arm in route.arms] == [("a", 10_000, 10_000.0, 0.1)]
    with pytest.raises(NotFound):
        status(lite, "spam")


def test_the_status_adds_up_what_the_spools_say(lite: Engine) -> None:
    assert status(lite).evidence.lag is None
    row = {"segment": 1, "offset": 9, "offered": 12, "accepted": 10, "committed": 8, "quarantined": 1, "duplicate": 1}
    with writing(lite) as connection:
        for name, at in (("w0", NOW - 500_000), ("w1", NOW - 9_000_000)):
            connection.execute(insert(spool).values(name=name, dropped='{"memory": 2}', updated_at=at, **row))
    found = status(lite).evidence
    assert (found.offered, found.accepted, found.dropped, found.committed, found.quarantined) == (24, 20, 4, 16, 2)
    assert found.lag == 0.5


def test_the_status_lists_the_workers(lite: Engine) -> None:
    assert [(one.worker, one.version) for one in status(lite).workers] == [("w0", 4)]


def test_a_status_says_how_the_last_rollout_ended(lite: Engine) -> None:
    populate(lite, "a", "b")
    assert status(lite).routes[0].last is None
    begun = start(lite).subject
    assert status(lite).routes[0].last is None
    move_rollout(lite, begun.id, move=Move(verb=Verb.ROLLBACK), author=ANN)
    ending = status(lite).routes[0].last
    assert ending is not None
    assert (ending.rollout, ending.phase, ending.actor, ending.reason) == (begun.id, "rolled-back", "ann", "because")


def test_a_declared_gate_is_shown_with_its_harm_and_margin_in_the_report_and_the_status(lite: Engine) -> None:
    populate(lite, "a", "b")
    begun = start(lite, gates=("error_rate:guardrail:margin=5pt",)).subject
    store_sums(lite, [*served("a", 95_000, 950), *served("b", 5_000, 50)], rollout=begun.id, minute=MINUTE)
    text = markdown(report(lite))
    (line,) = [line for line in text.split("## Gates")[1].split("## Comparison")[0].splitlines() if "failed answers" in line]
    assert "| guardrail |" in line
    assert "5 points" in line
    assert "not-worse" in line
    (gate,) = status(lite).routes[0].rollout.gates  # type: ignore[union-attr]
    assert (gate.gate, gate.state, gate.margin, gate.unit) == ("error_rate:guardrail:margin=0.05", "not-worse", 0.05, "points")
    assert gate.upper is not None
    assert gate.upper < 0.05
    assert status(lite).routes[0].rollout.mode == "advise"  # type: ignore[union-attr]
