"""Bundles: the same evidence gives the same bytes, anyone can recompute the verdict, and a changed number is found."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from modelctl.controlplane.judgement.bundle import configuration_hash, read_bundle, recompute, write_bundle
from modelctl.controlplane.judgement.funnel import funnels_of
from modelctl.controlplane.judgement.inquiry import evidence_of, judgement_of
from modelctl.controlplane.judgement.judging import judge
from modelctl.controlplane.report.content import write_report
from modelctl.controlplane.report.gathering import findings
from modelctl.errors import Corrupt
from modelctl.rollout import Rollout
from modelctl.store import catalog
from modelctl.store.engine import reading
from modelctl.store.summing import Sum
from tests.controlplane.judged import FIVE_PERCENT, GATE, NOW, evidence, gated, pairs
from tests.controlplane.scene import AT, counts, populate, rollout, served, start, store_sums

BOTH = gated(rollout("canary", {"percent_bp": 500, "steps_bp": [2000], "shadow_bp": 10_000}), GATE, "slow_rate:info:slower=250ms")
DOCS = Path(__file__).parents[2] / "docs" / "statistics.md"
SUMS = [
    *served("a", 190_000, 1900),
    *served("b", 10_000, 110),
    *served("a", 80_000, 1600, stage=2),
    *served("b", 20_000, 420, stage=2),
    *pairs(40, 20, 49_940),
    *counts("a", "latency", {"400": 200_000, "700": 70_000}),
]


def bundle_of(of: Rollout, sums: list[Sum]) -> bytes:
    found = evidence(of, sums)
    return write_bundle(found, judge(found, at=NOW, funnels=funnels_of(found)), at=NOW)


def verify(path: Path) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "modelctl.controlplane.judgement.verify", str(path)]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def test_the_same_evidence_gives_the_same_bytes_in_any_order_of_the_sums() -> None:
    assert bundle_of(BOTH, SUMS) == bundle_of(BOTH, SUMS[::-1])


def test_a_bundle_is_judged_again_with_the_same_result() -> None:
    found = recompute(bundle_of(BOTH, SUMS))
    assert (found.word, found.same) == ("promote", True)


def test_a_changed_number_and_a_changed_margin_are_found() -> None:
    document: dict[str, Any] = json.loads(bundle_of(BOTH, SUMS))
    failures = next(row for row in document["sums"] if (row["arm"], row["metric"], row["stage"]) == ("b", "error", 1))
    failures["k"] = 900
    found = recompute(json.dumps(document).encode())
    assert (found.word, found.same) == ("rollback", False)
    assert ("judgement.word", '"promote"', '"rollback"') in [(one.place, one.written, one.recomputed) for one in found.differences]
    document = json.loads(bundle_of(BOTH, SUMS))
    document["rollout"]["gates"][0]["margin"]["amount"] = 0.05
    assert "sha256" in [one.place for one in recompute(json.dumps(document).encode()).differences]


def test_the_hash_is_of_what_was_declared_and_not_of_what_happened() -> None:
    moved = gated(FIVE_PERCENT, GATE)
    assert configuration_hash(moved) == configuration_hash(gated(rollout("canary", {"percent_bp": 500}), GATE))
    assert configuration_hash(moved) != configuration_hash(gated(FIVE_PERCENT, GATE, min_n=2_000))


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b"[" * 10_000])
def test_what_is_no_bundle_is_said_so(body: bytes) -> None:
    with pytest.raises(Corrupt, match="no evidence bundle"):
        read_bundle(body)


def test_the_command_exits_with_0_for_the_same_1_for_another_and_2_for_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "bundle.json"
    path.write_bytes(bundle_of(BOTH, SUMS))
    same = verify(path)
    assert (same.returncode, same.stdout) == (0, "The same verdict: promote. Every number agrees to 9 digits.\n")
    path.write_bytes(bundle_of(BOTH, SUMS).replace(b'"word":"promote"', b'"word":"continue"'))
    other = verify(path)
    assert other.returncode == 1
    assert re.search(r'judgement\.word +"continue" +"promote"', other.stdout)
    assert other.stdout.startswith("1 place differs; computed again the verdict is promote.")
    absent = verify(tmp_path / "absent")
    assert (absent.returncode, "Errno" in absent.stderr) == (2, False)
    assert "absent cannot be read: No such file or directory; `modelctl decision list` names the decisions" in absent.stderr


def test_the_program_in_the_docs_recomputes_a_paired_and_a_split_verdict(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(import json.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert "modelctl" not in program
    script, path = tmp_path / "recompute.py", tmp_path / "bundle.json"
    script.write_text(program, encoding="utf-8")
    path.write_bytes(bundle_of(BOTH, SUMS))
    ran = subprocess.run([sys.executable, str(script), str(path)], capture_output=True, text=True, check=True)
    found = {words[1]: (float(words[2]), float(words[3]), words[4]) for words in map(str.split, ran.stdout.splitlines())}
    rows = {row.design: row for row in read_bundle(path.read_bytes()).results if row.gate.startswith("error_rate")}
    for design in ("paired", "split"):
        assert found[design][:2] == pytest.approx((rows[design].harm_lower, rows[design].harm_upper), rel=1e-6)
        assert found[design][2] == "proven"


def test_the_same_store_and_moment_give_the_same_bytes_of_bundle_and_report(engine: Engine) -> None:
    populate(engine, "a", "b")
    start(engine, parameters={"percent_bp": 500, "shadow_bp": 10_000})
    store_sums(engine, [*served("a", 1900, 19), *served("b", 100, 1), *pairs(2, 1, 97)], rollout=1)
    with reading(engine) as connection:
        of = gated(catalog.find_rollout(connection, 1), GATE)
        found, judgement = judgement_of(connection, of, at=NOW)
        again, repeated = judgement_of(connection, of, at=NOW)
    assert write_bundle(found, judgement, at=NOW) == write_bundle(again, repeated, at=NOW)
    assert recompute(write_bundle(found, judgement, at=NOW)).same
    assert read_bundle(write_bundle(found, judgement, at=NOW)).watermark == AT // 60_000_000
    reports = [write_report(findings(engine, "fraud"), at=NOW * 1000) for _ in range(2)]
    assert reports[0] == reports[1]


def test_what_a_judgement_reads_is_enough_for_the_same_verdict_as_of_everything(lite: Engine) -> None:
    populate(lite, "a", "b")
    start(lite, parameters={"percent_bp": 500, "shadow_bp": 10_000})
    noise = [
        *counts("a", "label", {"x": 7}),
        *counts("b", "pair_latency", {"baseline:400": 3}),
        *counts("c", "requests", {"ok": 1}),
    ]
    slow = [*counts("a", "latency", {"400": 1_890, "700": 10}), *counts("b", "latency", {"400": 99, "zero": 1})]
    store_sums(lite, [*served("a", 1900, 19), *served("b", 100, 1), *pairs(2, 1, 97), *slow, *noise], rollout=1)
    with reading(lite) as connection:
        of = gated(catalog.find_rollout(connection, 1), GATE, "slow_rate:guardrail:margin=1pt,slower=250ms")
        whole, rows = evidence_of(connection, of)
        found, judgement = judgement_of(connection, of, at=NOW)
    assert judgement == judge(whole, at=NOW, funnels=funnels_of(whole))
    assert found.newest == whole.newest
    read = {(row.arm, row.metric) for row in found.sums.rows}
    assert ("c", "requests") not in read
    assert {("a", "label"), ("b", "pair_latency"), ("c", "requests")} <= {(row.arm, row.metric) for row in rows}
    assert not read & {("a", "label"), ("b", "pair_latency")}


def test_a_bundle_from_before_gates_and_rows_had_all_their_fields_is_judged_the_same() -> None:
    document: dict[str, Any] = json.loads(bundle_of(BOTH, SUMS))
    for gate in document["rollout"]["gates"]:
        del gate["slice"]
    for row in document["results"]:
        del row["companion"]
    names = ("strategy", "baseline", "candidates", "steps", "unit", "gates", "conduct", "fields", "dimensions")
    declared = {name: document["rollout"][name] for name in names}
    canonical = json.dumps(declared, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    document["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    assert recompute(json.dumps(document).encode()).differences == ()
