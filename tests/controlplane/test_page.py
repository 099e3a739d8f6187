"""The report as a page: whole by itself, safe whatever is in it, readable without eyes or colours, with the numbers of the JSON."""

import base64
import hashlib
import re
from itertools import pairwise

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, func, select

from modelctl.controlplane.figures.svg import plain
from modelctl.controlplane.judgement.figures import amount, figure, share
from modelctl.controlplane.judgement.funnel import STAGES
from modelctl.controlplane.report.content import Report
from modelctl.controlplane.report.drawn import between, harm_words
from modelctl.controlplane.report.markdown import markdown
from modelctl.controlplane.report.page import LIMIT, page
from modelctl.controlplane.report.shapes import Move
from modelctl.store.engine import writing
from modelctl.store.tables import event, rollup
from tests.controlplane.html_page import Element, Table, page_of, tables_of
from tests.controlplane.reported import HOSTILE, WRONG, asked, report_of, shadowed_by_device
from tests.controlplane.scene import counts, store_sums

GATES = ("accuracy:guardrail:margin=2pt", "error_rate:guardrail:margin=1pt")
EMPTY = ("funnels", "rows", "confusions", "numbers", "latencies", "outcomes", "feedback", "worst", "audit", "over_time", "curves")


@pytest.fixture
def report(lite: Engine) -> Report:
    shadowed_by_device(lite, *GATES)
    return report_of(lite)


def table_with(root: Element, *columns: str) -> Table:
    return next(table for table in tables_of(root) if set(columns) <= set(table.columns))


def section(root: Element, name: str) -> Element:
    return next(one for one in root.all("section") if one.attributes["id"] == name)


def hostile(engine: Engine) -> Report:
    """What clients, models and people write, as bad as it comes."""
    shadowed_by_device(engine, *GATES)
    for number in range(4):
        asked(
            engine,
            f"{90 + number}{'hostile':-<30}",
            {"device": HOSTILE, "n": number},
            candidate_label=HOSTILE,
            candidate_body=HOSTILE.encode(),
        )
    store_sums(engine, counts("b", "confusion", {msgspec.json.encode([HOSTILE, "no"]).decode(): 40}), rollout=1)
    store_sums(engine, counts("b", "field", {msgspec.json.encode([HOSTILE, "value"]).decode(): 40}), rollout=1)
    found = report_of(engine, named=[("device", HOSTILE)])
    (out,) = found.standing_out.first
    worse = msgspec.structs.replace(out.slice, value=HOSTILE, sentence=f"device {HOSTILE}: worse.")
    first = (msgspec.structs.replace(out, value=HOSTILE, slice=worse),)
    standing = msgspec.structs.replace(found.standing_out, first=first, sentence=HOSTILE)
    return msgspec.structs.replace(found, standing_out=standing)


def test_the_page_is_whole_by_itself(report: Report) -> None:
    text = page(report)
    root = page_of(text)
    assert text.startswith("<!doctype html>")
    assert not {one.tag for one in root.walk()} & {"script", "link", "img", "iframe", "object", "embed", "form", "base"}
    addresses = [
        value for one in root.walk() for name, value in one.attributes.items() if name in ("href", "src", "srcset", "action")
    ]
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    assert "url(" not in text
    assert "@import" not in text
    anchors = {one.attributes["id"] for one in root.walk() if "id" in one.attributes}
    assert {address[1:] for address in addresses} <= anchors


def test_its_policy_allows_its_own_style_and_nothing_else(report: Report) -> None:
    root = page_of(page(report))
    policy = next(one.attributes["content"] for one in root.all("meta") if "http-equiv" in one.attributes)
    digest = base64.b64encode(hashlib.sha256(root.one("style").text.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert not [one for one in root.walk() if "style" in one.attributes or any(name.startswith("on") for name in one.attributes)]


def test_it_reads_well_without_eyes(report: Report) -> None:
    root = page_of(page(report))
    assert root.one("html").attributes["lang"] == "en"
    assert [len(root.all(tag)) for tag in ("main", "header", "footer", "nav", "h1")] == [1, 1, 1, 1, 1]
    levels = [int(one.tag[1]) for one in root.walk() if re.fullmatch("h[1-6]", one.tag)]
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [one.attributes["id"] for one in root.walk() if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for one in root.walk():
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(one.attributes.get(name, "").split()) <= set(ids)
    for table in root.all("table"):
        assert table.one("caption").text
        assert all(cell.attributes.get("scope") in ("col", "row") for cell in table.all("th"))
        widths = {len([cell for cell in row.walk() if cell.tag in ("th", "td")]) for row in table.all("tr")}
        assert len(widths) == 1


def test_every_figure_says_what_it_means_and_has_its_numbers_beside_it(report: Report) -> None:
    figures = page_of(page(report)).all("figure")
    assert len(figures) >= 8
    for figure_ in figures:
        svg = figure_.one("svg")
        assert svg.attributes["role"] == "img"
        assert svg.one("title").text
        assert svg.one("desc").text
        assert len(figure_.one("figcaption").text) > 40
        assert figure_.one("details").one("table").all("tr")


def test_all_parts_are_there_in_the_order_people_decide_by(report: Report) -> None:
    root = page_of(page(report))
    names = [one.attributes["id"] for one in root.all("section")]
    assert names == [
        *("verdict", "decision", "evidence", "over-time", "agreement"),
        *("noise", "latency", "failures", "slices", "worst", "history"),
    ]
    said = section(root, "verdict").text
    for part in (report.verdict.word, report.verdict.sentence, *report.verdict.commands, "old ·"):
        assert part in said


def test_the_first_screen_names_the_slice_its_interval_and_opens_three_examples(report: Report) -> None:
    first = section(page_of(page(report)), "verdict")
    article = first.one("article")
    (out,) = report.standing_out.first
    assert article.one("h3").text == "device phone"
    assert between(out.slice.measure.lower, out.slice.measure.upper, unit="share") in article.one("svg").text
    examples = [one for one in article.all("details") if one.attributes.get("class") == "example"]
    assert len(examples) == 3
    for example in examples:
        assert "baseline said no, b said yes" in example.one("summary").text
        assert '"device":"phone"' in example.text
        assert "curl -sS" in example.text
    assert "modelctl report fraud --rollout 1 --slice device=phone" in article.text


def test_the_numbers_of_the_page_are_those_of_the_json(api: httpx.Client, lite: Engine) -> None:
    shadowed_by_device(lite, *GATES)
    answer = api.get("/v1/routes/fraud/report")
    found = msgspec.json.decode(answer.content, type=Report)
    root = page_of(api.get("/v1/routes/fraud/report", params={"format": "html"}).text)
    table = table_with(root, "still needed")
    decided = {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert len(decided) == len(found.rows) == 3
    for row in found.rows:
        cells = decided[row.title]
        assert cells["difference"] == figure(row.estimate, row.unit)
        assert cells["interval"] == between(row.lower, row.upper, unit=row.unit)
        assert cells["n"] == f"{row.n:,} {row.counts}"
        assert cells["finding"] == row.finding
        if row.gate:
            assert cells["margin"] == amount(row.margin, row.margin_unit)
            assert cells["harm still possible"] == harm_words(row.harm_lower, row.harm_upper, unit=row.margin_unit)
    slices = table_with(root, "baseline or rest")
    ranked = [(f"{one.dimension} {one.value}", one.kind, share(one.candidate_value)) for one in found.details.slices.first]  # type: ignore[union-attr]
    places = [slices.columns.index(name) for name in ("slice", "what", "value")]
    shown = [tuple(row[place] for place in places) for table in tables_of(section(root, "slices")) for row in table.rows]
    assert shown == ranked
    path = tables_of(section(root, "over-time"))[0]
    assert [row[1] for row in path.rows] == [f"{look.n:,}" for look in found.over_time[0].looks]
    assert path.rows[-1][2] == amount(found.over_time[0].looks[-1].lower, found.over_time[0].unit)


def test_the_numbers_of_the_page_are_those_of_the_database(lite: Engine, report: Report) -> None:
    root = page_of(page(report))

    def counted(metric: str, *, key: str | None = None, arm: str = "b") -> int:
        query = select(func.sum(rollup.c.n)).where(rollup.c.rollout == 1, rollup.c.metric == metric, rollup.c.arm == arm)
        with lite.connect() as connection:
            return int(connection.execute(query if key is None else query.where(rollup.c.key == key)).scalar() or 0)

    funnel = dict(row[:2] for row in table_with(root, "stage", "lost before it, and why").rows)
    assert funnel == {stage: f"{counted('funnel', key=stage):,}" for stage in STAGES}
    labels = table_with(root, "baseline \\ candidate")
    assert labels.rows[0][1:] == [f"{counted('confusion', key=key):,}" for key in ('["no","no"]', '["no","yes"]')]
    equal, different = counted("agreement", key="equal"), counted("agreement", key="different")
    assert different == 4 * sum(WRONG.values())
    agreement = next(row for row in table_with(root, "still needed").rows if row[0].startswith("same prediction"))
    assert figure(equal / (equal + different), "share") in agreement
    requests = next(row for row in table_with(root, "arm", "by outcome").rows if row[0] == "a")
    assert requests[1] == f"{counted('requests', arm='a'):,}"
    worse, n = counted("pair_accuracy", key="-"), counted("pair_accuracy")
    right = next(row for row in table_with(root, "still needed").rows if row[0].startswith("predictions that were right"))
    assert right[table_with(root, "still needed").columns.index("difference")] == figure(-worse / n, "share")


def test_nothing_that_clients_models_or_people_wrote_becomes_markup(lite: Engine) -> None:
    found = hostile(lite)
    with writing(lite) as connection:
        connection.execute(event.insert().values(at=1, actor=HOSTILE, action="note", route="fraud", rollout=1, reason=HOSTILE))
    found = msgspec.structs.replace(found, audit=report_of(lite).audit)
    text = page(found)
    root = page_of(text)
    assert not {one.tag for one in root.walk()} & {"script", "img"}
    assert not [one for one in root.walk() if any(name.startswith("on") for name in one.attributes)]
    for place in ("verdict", "agreement", "worst", "history"):
        assert "<img src=x onerror=alert(1)>" in section(root, place).text, place
    assert not re.search("[\u202a-\u202e\u2066-\u2069]", text)
    assert plain(HOSTILE) in root.text


def test_markdown_of_the_same_holds_it_as_code_or_escaped(lite: Engine) -> None:
    outside = re.sub(r"(?s)(`{3,})text\n.*?\n\1", "", markdown(hostile(lite)))
    outside = re.sub(r"`[^`\n]*`", "", outside)
    assert "<script" not in outside
    assert "<img" not in outside
    assert set(re.findall(r"<(/?\w+)", outside)) <= {"details", "/details", "summary", "/summary"}


def test_a_page_without_evidence_says_what_is_missing(report: Report) -> None:
    blank = dict.fromkeys(EMPTY, ())
    bare = msgspec.structs.replace(report, evidence_at=None, **blank)
    said = page_of(page(bare)).text
    for part in (
        "Evidence none yet",
        "Nothing is compared yet.",
        "No interval yet.",
        "No answers yet.",
        "None recorded.",
        "--noise-control",
    ):
        assert part in said


def test_a_large_report_stays_below_its_limit_and_keeps_what_decides(report: Report) -> None:
    names = tuple(f"label <{number}> {'&' * 30}" for number in range(21))
    moves = tuple(Move(names[0], name, 9) for name in names[1:11])
    labels = msgspec.structs.replace(report.confusions[0], labels=names, counts=((9,) * 21,) * 21, n=3_969, moves=moves)
    example = report.worst[0]
    again = tuple(msgspec.structs.replace(one, command=one.command + "\"'<&>" * 700) for one in example.commands)
    bodies = {"request_preview": "<" * 400, "baseline_preview": '"' * 400, "candidate_preview": "&" * 400}
    heavy = msgspec.structs.replace(example, commands=again, **bodies)
    (out,) = report.standing_out.first
    assert out.examples is not None
    examples = msgspec.structs.replace(out.examples, found=(heavy,) * 3)
    standing = msgspec.structs.replace(report.standing_out, first=(msgspec.structs.replace(out, examples=examples),) * 3)
    slices = msgspec.structs.replace(report.details.slices, first=(out.slice,) * 100, compared=5_000)  # type: ignore[type-var]
    large = msgspec.structs.replace(
        report,
        confusions=(labels,),
        worst=(heavy,) * 10,
        standing_out=standing,
        audit=report.audit * 200,
        rows=report.rows * 8,
        over_time=report.over_time * 4,
        details=msgspec.structs.replace(report.details, slices=slices),
    )
    text = page(large)
    assert len(text.encode()) < LIMIT == 400_000
    root = page_of(text)
    assert report.verdict.sentence in root.text
    assert root.one("article").one("h3").text == "device phone"
    assert "4,980 more are compared" in root.text


def test_a_browser_gets_the_page_and_a_program_the_json(api: httpx.Client, lite: Engine) -> None:
    shadowed_by_device(lite)
    path = "/v1/routes/fraud/report"
    browser = api.get(path, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert browser.headers["content-type"] == "text/html; charset=utf-8"
    assert "frame-ancestors 'none'" in browser.headers["content-security-policy"]
    assert (browser.headers["x-content-type-options"], browser.headers["cache-control"]) == ("nosniff", "no-store")
    assert api.get(path, headers={"accept": "*/*"}).json()["route"] == "fraud"
    assert api.get(path, params={"format": "json"}, headers={"accept": "text/html"}).json()["route"] == "fraud"
    assert api.get(path, params={"format": "md"}).headers["content-type"].startswith("text/markdown")
    sliced = api.get(path, params={"slice": "device=tv"}).json()
    assert {one["value"] for one in sliced["examples"]} == {"phone", "tv"}
    assert api.get(path, params={"slice": "tv"}).status_code == 422
    assert api.get(path, params={"format": "pdf"}).status_code == 422
