"""Predictions are found by what they are, from the command line to a store of either kind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, insert
from starlette.applications import Starlette

from modelctl.cli import main
from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.fleet import Fleet
from modelctl.settings import Settings
from modelctl.store.engine import writing
from modelctl.store.searching import WITHIN
from modelctl.store.tables import prediction
from tests.controlplane.reported import populate_sliced
from tests.controlplane.scene import AT, store_pair, store_prediction
from tests.recorder.stream import rows

Serve = Callable[[Starlette], str]
ROOT = Path(__file__).parents[2]
PATIENCE = 30


@pytest.fixture
def url(engine: Engine, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> str:
    """A control plane with a route `fraud`, sliced by device, and backends a and b."""
    populate_sliced(engine)
    found = serve(create_app(engine, Settings(), fleet=Fleet(unix_microseconds, young_for=-1)))
    monkeypatch.setenv("MODELCTL_URL", found)
    return found


@pytest.fixture
def some(engine: Engine, url: str) -> str:
    """Four predictions, of which two were compared."""
    kinds = (
        ("1", {"arm": "a", "label": "yes", "latency_us": 900, "unit": "ann"}, "phone"),
        ("2", {"arm": "b", "label": "no", "latency_us": 400_000, "role": "candidate"}, "phone"),
        ("3", {"arm": "a", "outcome": "timeout", "status": 504, "label": None}, "tv"),
        ("4", {"arm": "a", "label": "yes", "latency_us": 250_000}, "tv"),
    )
    for place, (name, columns, device) in enumerate(kinds):
        body = msgspec.json.encode({"device": device})
        asked = {"request_body": body, "request_size": len(body), "request_type": "application/json", "at": AT + place}
        store_prediction(engine, name * 32, request_id=f"r{name}", **asked, **columns)
    store_pair(engine, "1" * 32, agree=1)
    store_pair(engine, "4" * 32, agree=0, request_id="r4", baseline_label="yes", candidate_label="no")
    return url


def found(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    """The predictions that the command names, by their first digit."""
    capsys.readouterr()
    assert main(["predictions", "fraud", *words, "-o", "name"]) == 0
    return [line[0] for line in capsys.readouterr().out.split()]


@pytest.mark.usefixtures("some")
def test_predictions_are_found_by_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys, "--where", "arm=a") == ["4", "3", "1"]
    assert found(capsys, "--arm", "a", "--where", "label=yes") == ["4", "1"]
    assert found(capsys, "--where", "label!=yes") == ["3", "2"]
    assert found(capsys, "--where", "latency>=250ms") == ["4", "2"]
    assert found(capsys, "--where", "latency<1ms and unit=ann") == ["1"]
    assert found(capsys, "--where", "status>=500", "--where", "outcome=timeout") == ["3"]
    assert found(capsys, "--where", "agree=no") == ["4"]
    assert found(capsys, "--where", "agree=yes") == ["1"]
    assert found(capsys, "--where", "request=r2") == ["2"]


@pytest.mark.usefixtures("some")
def test_predictions_are_found_by_the_slice_they_lie_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert found(capsys, "--where", "device=phone") == ["2", "1"]
    assert found(capsys, "--where", "device!=phone and label=yes") == ["4"]
    assert found(capsys, "--where", "device=tv", "--limit", "1") == ["4"]
    assert found(capsys, "--where", "device=radio") == []


@pytest.mark.usefixtures("some")
def test_a_filter_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predictions", "fraud", "--where", "colour=red"]) == 2
    assert "dimensions of this route: device" in capsys.readouterr().err


@pytest.mark.usefixtures("some")
def test_one_prediction_is_shown_with_both_answers_and_the_command_that_asks_again(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("r4", "4" * 32):
        assert main(["predictions", "--id", name]) == 0
        shown = capsys.readouterr().out
        assert "a and b differ" in shown
        assert '{"device":"tv"}' in shown
        curls = [line for line in shown.splitlines() if line.startswith("curl ")]
        assert len(curls) == 2
        assert all("""--data-raw '{"device":"tv"}'""" in line for line in curls)
    assert main(["predictions", "--id", "r2", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == []
    assert main(["predictions", "--id", "nothing"]) == 1
    assert main(["predictions", "--id", "r2", "--follow"]) == 2


def test_a_quotation_mark_ends_no_filter(some: str) -> None:
    asked = {"route": "fraud", "since": "1", "request_id": 'r1" or arm="a'}
    answer = httpx.get(f"{some}/v1/predictions", params=asked)
    assert answer.status_code == 422
    assert "quotation mark" in answer.json()["detail"]


@pytest.mark.usefixtures("some")
def test_one_prediction_says_that_sampling_left_its_bodies_out(capsys: pytest.CaptureFixture[str], engine: Engine) -> None:
    store_prediction(engine, "9" * 32, request_body=b"", request_size=9, answer_body=b"", answer_size=9, bodies_kept=0)
    assert main(["predictions", "--id", "9" * 32]) == 0
    assert capsys.readouterr().out.count("not in the sample of bodies") == 2


def test_a_search_looks_through_a_bounded_number_of_rows_and_says_where_to_go_on(
    engine: Engine, url: str, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store_prediction(engine, "0" * 32, at=AT, label="rare")
    template = rows(database_url, "prediction")[0] | {"label": "usual"}
    with writing(engine) as connection:
        many = [template | {"id": f"{number:032x}", "at": AT + number} for number in range(1, WITHIN + 2)]
        connection.execute(insert(prediction), many)
    query = {"route": "fraud", "where": "label=rare"}
    first = httpx.get(f"{url}/v1/predictions", params=query, timeout=30).json()
    assert first["items"] == []
    second = httpx.get(f"{url}/v1/predictions", params={**query, "cursor": first["next"]}, timeout=30).json()
    assert ([one["id"] for one in second["items"]], second["next"]) == (["0" * 32], None)
    assert found(capsys, "--where", "label=rare") == ["0"]


def test_pages_of_a_search_hold_every_row_once(some: str) -> None:
    query: dict[str, str | int] = {"route": "fraud", "where": "status>0", "limit": 1}
    seen, cursor = list[str](), ""
    while True:
        page = httpx.get(f"{some}/v1/predictions", params={**query, "cursor": cursor}, timeout=30).json()
        seen += [one["id"][0] for one in page["items"]]
        cursor = page["next"]
        if not cursor:
            break
    assert seen == ["4", "3", "2", "1"]
    for wrong in ({"cursor": "x"}, {"limit": 0}, {"limit": 1001}, {"route": ""}):
        assert httpx.get(f"{some}/v1/predictions", params={**query, **wrong}, timeout=30).status_code == 422


@contextmanager
def following(url: str, log: Path, *words: str) -> Iterator[Callable[[str], str]]:
    """`modelctl predictions --follow`; gives a function that waits until it has shown something. Ctrl-C ends it in order."""
    command = [sys.executable, "-m", "modelctl", "predictions", "fraud", "--follow", *words]
    environment = {**os.environ, "MODELCTL_URL": url, "PYTHONPATH": str(ROOT)}
    with log.open("w") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)

    def until(wanted: str) -> str:
        deadline = time.monotonic() + PATIENCE
        while wanted not in (shown := log.read_text()):
            assert time.monotonic() < deadline, shown
            assert process.poll() is None, shown
            time.sleep(0.05)
        return shown

    try:
        yield until
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


def test_new_predictions_are_shown_once_as_they_come_until_control_c(lite: Engine, serve: Serve, tmp_path: Path) -> None:
    populate_sliced(lite)
    url = serve(create_app(lite, Settings(), fleet=Fleet(unix_microseconds, young_for=-1)))
    for number in range(3):
        store_prediction(lite, f"old-{number}", at=AT + number)
    with following(url, tmp_path / "log", "--limit", "1", "--where", "arm=a", "-o", "name") as until:
        assert until("old-2\n") == "old-2\n"
        store_prediction(lite, "new-1", at=AT + 10)
        store_prediction(lite, "other", at=AT + 11, arm="b")
        until("new-1\n")
        store_prediction(lite, "late", at=AT + 5)
        assert until("late\n") == "old-2\nnew-1\nlate\n"


def test_followed_predictions_are_lines_for_people_or_objects_for_programs(lite: Engine, serve: Serve, tmp_path: Path) -> None:
    populate_sliced(lite)
    url = serve(create_app(lite, Settings(), fleet=Fleet(unix_microseconds, young_for=-1)))
    store_prediction(lite, "one", at=AT, label="yes")
    with following(url, tmp_path / "lines") as until:
        shown = until("yes  one\n")
        assert shown.startswith("TIME")
        assert len(shown.splitlines()) == 2
    with following(url, tmp_path / "objects", "-o", "json") as until:
        assert json.loads(until("}\n"))["id"] == "one"
