"""What a report shows beside its verdict: what stands out with its examples, paths over time, curves, differences, digests."""

import base64
import shlex
import subprocess

import msgspec
import pytest
from sqlalchemy import Engine, select

from modelctl.controlplane.operations.feedback import FeedbackItem, record_feedback
from modelctl.controlplane.report.content import Report
from modelctl.controlplane.report.curl import LONGEST, curl, remark
from modelctl.controlplane.report.differences import difference_sample
from modelctl.controlplane.report.latency_curves import POINTS, latency_curves
from modelctl.controlplane.report.page import page
from modelctl.controlplane.report.parts_markdown import over_time_lines
from modelctl.errors import InvalidInput
from modelctl.evidence import REQUEST_REDACTED
from modelctl.gate import parse_gate
from modelctl.statistics.quantiles import Histogram, quantile
from modelctl.store.bodies import stored
from modelctl.store.reading import Body
from modelctl.store.samples import Asked
from modelctl.store.slots import slots
from modelctl.store.summing import Part, Sum
from modelctl.store.tables import pair
from tests.controlplane.judged import SHADOW, evidence
from tests.controlplane.reported import (
    DEVICES,
    HOSTILE,
    MINUTE,
    MINUTES,
    asked,
    populate_sliced,
    report_of,
    shadowed_by_device,
)
from tests.controlplane.scene import AT, backend, counts, join_feedback, served, start, store_prediction, store_sums

GATE = "accuracy:guardrail:margin=2pt"
ASKED = Asked(method="POST", target="/fraud?x=1", headers={}, redacted=0)


def body(content: bytes, *, size: int = -1, encoding: str = "") -> Body:
    return Body("application/json", encoding, content, len(content) if size < 0 else size)


def test_the_slice_with_the_fault_stands_out_with_its_interval_and_three_examples(engine: Engine) -> None:
    shadowed_by_device(engine, GATE)
    found = report_of(engine)
    (out,) = found.standing_out.first
    assert (out.candidate, out.dimension, out.value, out.slice.kind) == ("b", "device", "phone", "different predictions")
    assert out.slice.measure.lower is not None
    assert out.slice.measure.lower > 0.5
    assert "device phone" in found.standing_out.sentence
    assert out.examples is not None
    assert out.examples.command == "modelctl report fraud --rollout 1 --slice device=phone"
    assert len(out.examples.found) == 3
    assert all(msgspec.json.decode(one.request_preview)["device"] == "phone" for one in out.examples.found)
    assert [(one.baseline_prediction, one.candidate_prediction) for one in out.examples.found] == [("no", "yes")] * 3


def test_the_newest_requests_are_the_examples_and_the_same_question_is_asked_once(lite: Engine) -> None:
    shadowed_by_device(lite)
    for number in range(4):
        asked(lite, f"{number + 90}{'again':-<30}", {"device": "phone", "amount": 7})
    (out,) = report_of(lite).standing_out.first
    assert out.examples is not None
    amounts = [msgspec.json.decode(one.request_preview)["amount"] for one in out.examples.found]
    assert amounts == [7, 4, 3]


def test_a_slice_of_what_is_no_dimension_is_refused_with_those_there_are(lite: Engine) -> None:
    shadowed_by_device(lite)
    with pytest.raises(InvalidInput, match="rollout 1 is not sliced by 'planet': its dimensions are device"):
        report_of(lite, named=[("planet", "mars")])


def test_a_slice_that_is_asked_for_has_its_examples_too(lite: Engine) -> None:
    shadowed_by_device(lite)
    found = report_of(lite, named=[("device", "tv"), ("device", "fridge")])
    differing = {one.value: one for one in found.examples if one.kind == "different predictions"}
    assert len(differing["tv"].found) == 3
    assert differing["fridge"].found == ()
    assert differing["fridge"].note == "0 of its kind are among the newest recorded requests."


def test_without_dimensions_the_report_says_how_to_declare_one_and_with_them_that_nothing_stands_out(lite: Engine) -> None:
    populate_sliced(lite)
    start(lite, "shadow")
    assert report_of(lite).standing_out.sentence == "Nothing is known of slices yet."
    sliced = [Sum(1, "b", "slice:agreement", f'["device","{device}"]', 50, 2) for device in DEVICES]
    store_sums(lite, sliced, rollout=1)
    assert report_of(lite).standing_out.sentence.startswith("No slice stands out (3 comparisons")


def test_wrong_predictions_of_split_traffic_have_examples_with_the_truth(lite: Engine) -> None:
    populate_sliced(lite)
    start(lite)
    for device, wrong in (("phone", 80), ("tv", 3)):
        arms = (("a", 5_000, 50), ("b", 300, wrong))
        sums = [Sum(1, arm, "slice:accuracy", f'["device","{device}"]', n, n - bad) for arm, n, bad in arms]
        store_sums(lite, sums, rollout=1)
    for number, device in enumerate(("phone", "tv", "phone")):
        content = msgspec.json.encode({"device": device})
        asked_ = {"request_body": content, "request_size": len(content), "request_id": f"r{number}"}
        store_prediction(lite, f"p{number}", arm="b", role="candidate", label="yes", **asked_)
        record_feedback(lite, [FeedbackItem(request_id=f"r{number}", value="no" if number < 2 else "yes")], at=AT)
    join_feedback(lite)
    (out,) = report_of(lite).standing_out.first
    assert (out.value, out.slice.kind) == ("phone", "wrong predictions")
    assert out.examples is not None
    (example,) = out.examples.found
    assert (example.request_id, example.candidate_prediction, example.truth, example.baseline_prediction) == ("r0", "yes", "no", "")
    assert out.examples.note == "1 of its kind is among the newest recorded requests."


def test_the_path_over_time_ends_at_the_decision_table_and_narrows(engine: Engine) -> None:
    shadowed_by_device(engine, GATE)
    found = report_of(engine)
    paths = {one.gate: one for one in found.over_time if one.gate}
    (row,) = [row for row in found.rows if row.gate]
    path = paths[row.gate]
    assert len(path.looks) == MINUTES
    last = path.looks[-1]
    assert (last.lower, last.upper, last.n, last.finding) == (row.harm_lower, row.harm_upper, row.n, row.finding)
    assert last.estimate == pytest.approx(-(row.estimate or 0.0))
    assert [look.n for look in path.looks] == [150, 300, 450, 600]
    widths = [look.upper - look.lower for look in path.looks if look.upper is not None and look.lower is not None]
    assert widths == sorted(widths, reverse=True)
    assert (path.unit, path.margin, path.proven) == ("points", 0.02, "worse")
    assert path.proven_at == path.looks[0].at
    agreement = next(one for one in found.over_time if one.title.startswith("same prediction"))
    shown = next(row for row in found.rows if row.metric == "agreement")
    assert (agreement.looks[-1].lower, agreement.looks[-1].upper) == (shown.lower, shown.upper)


def test_slots_are_few_however_long_a_rollout_lasts_and_lose_nothing(engine: Engine) -> None:
    populate_sliced(engine)
    start(engine, "shadow")
    for minute in (0, 1, 5, 999, 1_000):
        store_sums(engine, counts("b", "pair_error", {"0": 10, "-": 1}), rollout=1, minute=MINUTE + minute)
    part = Part(route="fraud", rollout=1, stages=(1,), arms=("a", "b"), metrics=("pair_error",))
    with engine.connect() as connection:
        found = slots(connection, part, most=10)
        assert [sum(one.n for one in slot.sums) for slot in found] == [33, 22]
        assert [slot.end - MINUTE for slot in found] == [101, 1_010]
        assert slots(connection, msgspec.structs.replace(part, rollout=2), most=10) == ()


def test_metrics_of_too_many_minutes_have_no_path_and_the_report_says_so(engine: Engine) -> None:
    populate_sliced(engine)
    start(engine, "canary", gates=("slow_rate:guardrail:margin=5pt,slower=250ms", "error_rate:guardrail:margin=2pt"))
    for arm in ("a", "b"):
        for minute in (0, 9_999):
            store_sums(engine, served(arm, 900, 9), rollout=1, minute=MINUTE + minute)
            spread = {str(bucket): 10 for bucket in range(100, 190)}
            store_sums(engine, counts(arm, "latency", spread), rollout=1, minute=MINUTE + minute)
    found = report_of(engine)
    assert found.without_path == "Without a path over time, because this rollout has too many minutes of it: latency."
    assert [one.title for one in found.over_time] == ["failed answers"]
    assert any(row.metric == "slow_rate" and row.n for row in found.rows)
    for text in ("\n".join(over_time_lines(found)), page(found)):
        assert found.without_path in text


def test_the_page_says_of_each_method_where_it_is_explained(engine: Engine) -> None:
    shadowed_by_device(engine, GATE)
    found = report_of(engine)
    named = {(row.method, row.source) for row in found.rows if row.source}
    assert named
    shown = page(found)
    assert all(f"{method}: {source}" in shown for method, source in named)


def test_latency_curves_reach_all_and_keep_the_tail_where_there_are_many_buckets() -> None:
    spread = {f"candidate:{index}": 1 + index % 3 for index in range(100, 400)}
    sums = counts("b", "pair_latency", spread | {"baseline:500": 9, "baseline:zero": 1})
    baseline, candidate = latency_curves(evidence(SHADOW, sums))
    assert (baseline.arm, candidate.arm, baseline.of) == ("a", "b", "b")
    assert baseline.points[0] == (0.0, 0.1)
    assert len(candidate.points) <= POINTS * 2
    assert candidate.points[-1][1] == 1.0
    assert list(candidate.points) == sorted(candidate.points)
    histogram = Histogram({index: 1 + index % 3 for index in range(100, 400)})
    assert candidate.quantiles["0.5"] == pytest.approx((quantile(histogram, 0.5) or 0) / 1000, abs=1e-4)
    assert "0.5" in candidate.quantiles
    assert "0.99" not in baseline.quantiles, "ten answers say nothing of p99"


def test_the_sample_of_differences_is_of_the_newest_and_counts_each_once(lite: Engine) -> None:
    populate_sliced(lite)
    start(lite, "shadow")
    store_sums(lite, [Sum(1, "b", "difference", "", 3, 0, 6.0, 14.0)], rollout=1)
    for number in range(3):
        asked(lite, f"n{number}", {"device": "tv"}, baseline_number=10.0, candidate_number=10.0 + number, difference=float(number))
    (sample,) = report_of(lite).differences
    assert sample.points == ((11.0, 2.0), (10.5, 1.0), (10.0, 0.0))
    assert sum(one.n for one in sample.bins) == sample.n == 3
    assert sample.sentence.startswith("Of the newest 3 pairs with numbers, 33.3% are equal")


def test_numbers_without_an_end_are_no_differences() -> None:
    assert difference_sample("b", [(float("inf"), 1.0), (1e308, -1e308)]) is None


def test_a_command_asks_what_was_asked_whatever_is_in_it() -> None:
    content = b'{"note": "it\'s $HOME `id` @file \\n", "n": 1}'
    found = curl(ASKED, body(content), backend=backend("b"), path="/fraud")
    assert found is not None
    words = shlex.split(found.command)
    assert words[0] == "curl"
    assert words[words.index("--data-raw") + 1].encode() == content
    assert words[-1] == "http://b.test:8000/fraud?x=1"
    assert "content-type: application/json" in words


def test_a_body_that_is_no_text_is_packed() -> None:
    content = bytes(range(256))
    found = curl(ASKED, body(content), backend=backend("b"), path="/fraud")
    assert found is not None
    packing, sending = found.command.rsplit(" | ", 1)
    assert subprocess.run(["sh", "-c", packing], check=True, capture_output=True).stdout == content
    assert shlex.split(sending)[-3:-1] == ["--data-binary", "@-"]
    assert base64.b64encode(content).decode() in found.command


def test_a_command_takes_the_headers_that_are_kept_and_nothing_that_breaks_out() -> None:
    odd = Asked(method="PUT", target="/x y", headers={}, redacted=0)
    assert curl(Asked(method="P UT", target="/", headers={}, redacted=0), body(b"x"), backend=backend("b"), path="/") is None
    headers = {"x-user": "ann", "x-bad": "a\nb", "@file": "x", "": "y"}
    found = curl(Asked(method="PUT", target="/a[1]?q='", headers=headers, redacted=0), body(b""), backend=backend("b"), path="/")
    assert found is not None
    words = shlex.split(found.command)
    assert "x-user: ann" in words
    assert not [word for word in words if "x-bad" in word or word.startswith(("@", ": "))]
    assert words[words.index("-X") + 1] == "PUT"
    assert words[-1] == "http://b.test:8000/a[1]?q='"
    assert curl(odd, body(b"x"), backend=backend("b"), path="/") is not None


@pytest.mark.parametrize(
    ("request_", "content", "said"),
    [
        (ASKED, body(b"x" * 10, size=20), "10 of 20 bytes were recorded"),
        (ASKED, body(b"x" * (LONGEST + 1)), "too many for a command"),
        (None, body(b"x"), "no longer recorded"),
        (Asked(method="GET", target="http://evil/", headers={}, redacted=0), body(b""), "no ordinary text"),
        (Asked(method="POST", target="/", headers={}, redacted=REQUEST_REDACTED), body(b"x"), "taken out of this request"),
    ],
)
def test_what_cannot_be_asked_again_as_it_was_is_said(request_: Asked | None, content: Body, said: str) -> None:
    assert said in remark(request_, content)


def test_examples_carry_both_answers_and_a_command_for_each_backend(lite: Engine) -> None:
    shadowed_by_device(lite)
    (example, *_) = report_of(lite).worst
    assert [one.backend for one in example.commands] == ["a", "b"]
    assert example.commands[1].command.endswith("'http://b.test:8000/fraud?x=1'")
    assert (example.baseline_preview, example.candidate_preview) == ("{}", "{}")


def test_two_reports_of_the_same_evidence_have_the_same_digests_and_others_do_not(lite: Engine) -> None:
    shadowed_by_device(lite)
    first, second = report_of(lite).reproduction, report_of(lite).reproduction
    assert first == second
    assert first is not None
    store_sums(lite, counts("b", "pair_error", {"0": 1}), rollout=1, minute=MINUTE + 9)
    third = report_of(lite).reproduction
    assert third is not None
    assert third.evidence_sha256 != first.evidence_sha256
    assert third.terms_sha256 == first.terms_sha256
    assert parse_gate(GATE)


def test_the_report_is_the_same_after_a_way_through_json(lite: Engine) -> None:
    shadowed_by_device(lite, GATE)
    asked(lite, f"99{'hostile':-<30}", {"device": HOSTILE})
    found = report_of(lite)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Report) == found
    with lite.connect() as connection:
        assert len(connection.execute(select(pair.c.prediction_id)).all()) == 16


def test_bodies_that_are_stored_compressed_are_found_by_their_slice_and_asked_again_whole(engine: Engine) -> None:
    shadowed_by_device(engine)
    document = {"device": "phone", "note": "long and even " * 100}
    content = msgspec.json.encode(document)
    how, packed = stored(content)
    assert how == "zstd"
    asked(engine, f"99{'packed':-<30}", document, request_stored=how, request_body=packed, request_size=len(content))
    (out,) = report_of(engine).standing_out.first
    assert out.examples is not None
    newest = out.examples.found[0]
    assert newest.request_preview.startswith('{"device":"phone","note":"long and even')
    words = shlex.split(newest.commands[0].command)
    assert words[words.index("--data-raw") + 1].encode() == content


def test_requests_whose_bodies_were_not_kept_are_examples_of_a_header_and_say_so(lite: Engine) -> None:
    shadowed_by_device(lite)
    asked(lite, f"99{'unkept':-<30}", {}, request_body=b"", request_size=40, bodies_kept=0)
    (worst, *_) = report_of(lite).worst
    assert worst.commands == ()
    assert worst.remark == "no command to copy: of its body 0 of 40 bytes were recorded"
