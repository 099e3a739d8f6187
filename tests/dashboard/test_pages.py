"""Every page can be read and every verb used without JavaScript."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.store.engine import connect
from tests.controlplane.scene import populate, served, start, store_pair, store_prediction, store_sums
from tests.dashboard.conftest import plane
from tests.dashboard.reader import Page, Reader

PATHS = (
    *("/", "/routes/fraud", "/rollouts/1", "/rollouts/1/promote", "/rollouts/1/rollback", "/routes/fraud/put-back", "/history"),
    *("/routes/fraud/start/canary", "/routes/fraud/start/shadow", "/routes/fraud/start/blue-green", "/routes/fraud/start/ab"),
    *("/backends", "/backends/a", "/predictions", "/predictions/p1", "/pairs/p1/b"),
)
GATE = "error_rate:guardrail:margin=1pt"


@pytest.fixture
def busy(engine: Engine) -> Engine:
    """A canary with a gate and some evidence."""
    start(engine, route="fraud", candidates=("b",), parameters={"percent_bp": 500, "steps_bp": [2000]}, gates=(GATE,))
    store_sums(engine, [*served("a", 9500, 20), *served("b", 500, 2)], rollout=1)
    store_prediction(engine, "p1", label="yes", request_type="application/json", request_size=13, answer_size=19)
    store_pair(engine, "p1", agree=0, baseline_label="yes", candidate_label="no", candidate_body=b'{"prediction": "no"}')
    return engine


@pytest.mark.usefixtures("busy")
def test_every_page_has_a_heading_and_nothing_inline_or_foreign(reader: Reader) -> None:
    for path in PATHS:
        _check(reader.open(path))


@pytest.mark.usefixtures("busy")
def test_the_report_is_a_page_of_its_own_with_the_way_back(reader: Reader) -> None:
    page = reader.open("/routes/fraud/report?rollout=1")
    assert "'unsafe-inline'" not in page.response.headers["content-security-policy"]
    assert page.follow("Back to the rollout").path == "/rollouts/1"
    assert reader.open("/routes/fraud/report?rollout=x").status == 422


def _check(page: Page) -> None:
    assert page.status == 200
    assert sum(tag == "h1" for tag, _ in page.tags) == 1
    assert [tag for tag, given in page.tags if tag == "style" or (tag == "script" and "src" not in given)] == []
    assert [name for _, given in page.tags for name in given if name == "style" or name.startswith("on")] == []
    assert [given for _, given in page.tags if given.get("src", given.get("href", "/")).startswith(("http", "//"))] == []
    policy = page.response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.response.headers["x-content-type-options"] == "nosniff"
    assert page.response.headers["cache-control"] == "no-store"


def test_a_canary_is_run_from_its_start_to_promotion_by_forms_alone(reader: Reader) -> None:
    form = reader.open("/").follow("fraud").follow("Canary…")
    review = form.press("/routes/fraud/start/canary", candidates="b", percent="5", steps="50", actor="ann", reason="new features")
    assert "50% to b" in review.text
    rollout = review.press("/routes/fraud/start/canary")
    assert rollout.path == "/rollouts/1"
    assert "started canary of b on route fraud" in rollout.text
    assert "modelctl canary fraud b --percent 5 --steps 50 --reason 'new features'" in review.commands
    advanced = rollout.follow("Advance…").press("/rollouts/1/advance", reason="it is calm")
    assert "advanced canary 1 on route fraud" in advanced.text
    assert "modelctl promote fraud" in advanced.commands
    ended = advanced.follow("Promote…").press("/rollouts/1/promote", reason="it is better")
    assert "promoted canary 1" in ended.text
    assert "baseline b" in reader.open("/routes/fraud").text
    history = reader.open("/history").text
    assert "it is calm" in history
    assert "ann" in history


def test_a_rollback_and_the_way_back_to_an_earlier_baseline_need_no_script(reader: Reader, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",))
    ended = reader.open("/rollouts/1").follow("Roll back…").press("/rollouts/1/rollback", reason="errors doubled")
    assert "rolled back canary 1 on route fraud" in ended.text
    assert "rolled-back" in ended.text
    start(engine, route="fraud", candidates=("b",))
    reader.open("/rollouts/2/promote").press("/rollouts/2/promote")
    back = reader.open("/routes/fraud").follow("Put a baseline back…").press("/routes/fraud/put-back", reason="too slow")
    assert "route fraud is back on a" in back.text


@pytest.mark.parametrize(
    ("strategy", "fields"),
    [
        ("shadow", {"candidates": "b c", "percent": "20", "max-inflight": "8", "for": "7d"}),
        ("blue-green", {"candidates": "b", "shadow-percent": "10", "bake": "10m"}),
        ("ab", {"candidates": "a=50\nb=30\nc=20"}),
        ("canary", {"candidates": "b", "percent": "5", "steps": "20!,50", "gates": GATE, "mode": "auto", "max-n": "200000"}),
    ],
)
def test_the_command_a_form_shows_asks_for_the_same_rollout(
    reader: Reader, tmp_path: Path, sqlite_twin: Engine, serve: Callable[[Starlette], str], *, strategy: str, fields: dict[str, str]
) -> None:
    action = f"/routes/fraud/start/{strategy}"
    review = reader.open(action).press(action, **fields)
    assert review.press(action).path == "/rollouts/1", review.text
    (line,) = [command for command in review.commands if command.startswith(f"modelctl {strategy} ")]
    twin = serve(plane(sqlite_twin))
    words = [sys.executable, "-m", *shlex.split(line), "--url", twin]
    ran = subprocess.run(words, env=os.environ, capture_output=True, text=True, timeout=60, check=False)
    assert "no router is connected" in ran.stderr, ran
    told = (httpx.get(f"{base}/v1/rollouts/1", trust_env=False).json() for base in (str(reader.client.base_url).rstrip("/"), twin))
    mine, typed = ({name: one[name] for name in ("strategy", "steps", "gates", "conduct", "candidates")} for one in told)
    assert mine == typed


@pytest.fixture
def sqlite_twin(sqlite_url: str, tmp_path: Path) -> Engine:
    """Another store like the first one."""
    copy = tmp_path / "twin.db"
    copy.write_bytes(Path(sqlite_url.removeprefix("sqlite:///")).read_bytes())
    made = connect(f"sqlite:///{copy}")
    with made.connect() as connection:
        empty = not connection.exec_driver_sql("select count(*) from route").scalar()
    if empty:
        populate(made, "a", "b", "c")
    return made


def test_every_other_verb_has_a_page_with_its_command(reader: Reader, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",))
    page = reader.open("/rollouts/1")
    for words, verb, done in (("Pause…", "pause", "paused"), ("Resume…", "resume", "resumed"), ("Approve…", "approve", "approved")):
        asked = page.follow(words)
        assert f"modelctl {verb} fraud" in asked.commands
        page = asked.press(f"/rollouts/1/{verb}", actor="bob")
        assert f"{done} canary 1" in page.text
    page = page.follow("Complete…").press("/rollouts/1/complete")
    assert "completed canary 1" in page.text


def test_a_change_by_somebody_else_is_told_kindly_and_nothing_is_lost(reader: Reader, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",), parameters={"percent_bp": 500, "steps_bp": [2000, 5000]})
    seen = reader.open("/rollouts/1/advance")
    reader.open("/rollouts/1/advance").press("/rollouts/1/advance", reason="first")
    refused = seen.press("/rollouts/1/advance", reason="second")
    assert refused.status == 412
    assert "Somebody changed it since you looked" in refused.text
    assert refused.form("/rollouts/1/advance").fields["reason"] == "second"
    assert "20% to b" in reader.open("/rollouts/1").text
    again = refused.press("/rollouts/1/advance")
    assert again.status == 200
    assert "advanced canary 1" in again.text


def test_a_form_that_does_not_say_what_was_seen_is_asked_to(reader: Reader, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",), parameters={"percent_bp": 500, "steps_bp": [2000]})
    refused = reader.open("/rollouts/1/advance").press("/rollouts/1/advance", revision="")
    assert refused.status == 428
    assert "Nothing was changed" in refused.text


def test_a_closed_gate_is_shown_and_passed_with_a_reason_alone(reader: Reader, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",), parameters={"percent_bp": 500, "steps_bp": [2000]}, gates=(GATE,))
    page = reader.open("/rollouts/1/advance")
    assert "What stands in the way" in page.text
    refused = page.press("/rollouts/1/advance", reason="I want to")
    assert refused.status == 409
    assert "cannot advance" in refused.text
    unsaid = refused.press("/rollouts/1/advance", reason="", force="yes")
    assert unsaid.status == 422
    assert "has to be forced" in unsaid.text
    assert "advanced canary 1" in unsaid.press("/rollouts/1/advance", reason="the incident needs it", force="yes").text


def test_pressing_a_button_twice_does_it_once(reader: Reader, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",), parameters={"percent_bp": 500, "steps_bp": [2000, 5000]})
    form = reader.open("/rollouts/1/advance")
    first, second = form.press("/rollouts/1/advance"), form.press("/rollouts/1/advance")
    assert first.status == second.status == 200
    assert "20% to b" in reader.open("/rollouts/1").text
    assert reader.client.get("/v1/rollouts/1").json()["step"] == 1


def test_what_is_wrong_with_a_form_stands_above_it_with_what_was_typed(reader: Reader) -> None:
    action = "/routes/fraud/start/canary"
    wrong = reader.open(action).press(action, candidates="b", percent="500")
    assert wrong.status == 422
    assert "more than 100%" in wrong.text
    assert [form.fields["percent"] for form in wrong.forms if "percent" in form.fields] == ["500"]
    unknown = reader.open(action).press(action, candidates="nobody", percent="5")
    assert "there is no backend" in unknown.text


def test_words_of_clients_and_models_stay_words(reader: Reader, engine: Engine) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    start(engine, route="fraud", candidates=("b",), reason=evil)
    store_prediction(engine, "p1", text=evil, request_body=evil.encode(), target=f"/fraud?{evil}", request_size=len(evil))
    for path in ("/", "/rollouts/1", "/history", "/predictions", "/predictions/p1", f"/predictions?arm={evil}", f"/?q={evil}"):
        page = reader.open(path)
        assert page.status == 200
        assert "<script>alert" not in page.html
        assert not [tag for tag, _ in page.tags if tag == "img"]


def test_a_page_says_that_bodies_were_left_out_by_sampling(reader: Reader, engine: Engine) -> None:
    start(engine, route="fraud", candidates=("b",))
    store_prediction(engine, "p1", request_body=b"", request_size=9, answer_body=b"", answer_size=9, bodies_kept=0)
    assert reader.open("/predictions/p1").text.count("not in the sample of bodies") == 2


def test_text_that_no_page_can_hold_is_replaced(reader: Reader, engine: Engine) -> None:
    """Half a character pair, which is legal in JSON and no character, and marks that turn the direction of what follows."""
    odd = b'{"why": "half \\ud800 and turned \\u202e", "n": 1}'
    start(engine, route="fraud", candidates=("b",))
    store_prediction(engine, "p1", request_body=odd, request_size=len(odd))
    store_pair(engine, "p1", agree=0, baseline_body=odd, baseline_size=len(odd), candidate_body=b'{"n": 2}', candidate_size=8)
    for path in ("/predictions/p1", "/pairs/p1/b"):
        page = reader.open(path)
        assert page.status == 200
        assert "half \ufffd and turned \ufffd" in page.text


def test_predictions_are_found_by_what_they_have_and_page_by_page(reader: Reader, engine: Engine) -> None:
    for number in range(60):
        outcome = {"outcome": "backend_error", "status": 500} if number == 3 else {}
        store_prediction(engine, f"{number:032x}", label=f"label-{number}", at=1_700_000_000_000_000 + number, **outcome)
    page = reader.open("/predictions?route=fraud")
    assert "label-59" in page.text
    assert "label-9 " not in page.text
    assert "label-9" in page.follow("Older →").text
    failed = reader.open("/predictions?route=fraud&outcome=backend_error")
    assert "label-3" in failed.text
    assert "label-4" not in failed.text
    assert "Nothing fits" in reader.open("/predictions?arm=nobody").text
    assert "label-7" in reader.open("/predictions?request_id=request-" + f"{7:032x}").text


def test_two_answers_stand_side_by_side_with_their_fields_compared(reader: Reader, busy: Engine) -> None:
    page = reader.open("/pairs/p1/b")
    assert "they disagree" in page.text
    assert "1 of 1 fields differ" in page.text
    assert [command for command in page.commands if command.startswith("curl ")]


def test_a_path_that_is_nothing_is_told_as_a_page_to_people_and_as_a_problem_to_programs(reader: Reader) -> None:
    page = reader.open("/nothing")
    assert page.status == 404
    assert "To the rollouts" in page.text
    assert reader.client.get("/v1/nothing").headers["content-type"] == "application/problem+json"
    assert reader.client.get("/nothing", headers={"accept": "application/json"}).json()["code"] == "not-found"
    assert reader.open("/rollouts/99").status == 404
    assert reader.open("/predictions?cursor=odd").status == 422


def test_the_overview_shows_what_moves_first_and_finds_by_name(reader: Reader, engine: Engine) -> None:
    populate(engine, "z", route="zebra", path="/zebra")
    start(engine, route="zebra", candidates=("c",))
    page: Page = reader.open("/")
    assert page.text.index("zebra") < page.text.index("fraud")
    assert "fraud" not in reader.open("/?q=zeb").text
