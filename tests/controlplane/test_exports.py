"""What was recorded leaves the store whole, in order, and can be gone on with where it broke off."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, delete, insert
from starlette.applications import Starlette

from modelctl.cli import main
from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.fleet import Fleet
from modelctl.settings import Settings
from modelctl.store.engine import writing
from modelctl.store.export import PAGE
from modelctl.store.tables import prediction
from tests.controlplane.scene import AT, populate, store_pair, store_prediction
from tests.recorder.stream import rows

Serve = Callable[[Starlette], str]
SECOND = 1_000_000


@pytest.fixture
def url(engine: Engine, serve: Serve) -> str:
    """A control plane on a store of either kind, with the routes `fraud` and `other`."""
    populate(engine, "a", "b")
    populate(engine, "c", route="other", path="/other")
    return serve(create_app(engine, Settings(), fleet=Fleet(unix_microseconds, young_for=-1)))


def lines(url: str, path: str, **query: str | int) -> list[dict[str, Any]]:
    with httpx.Client(base_url=url, timeout=30) as client:
        answer = client.get(path, params={"route": "fraud", **query})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_every_column_of_every_row_is_exported_once_and_in_the_order_of_time(url: str, engine: Engine, database_url: str) -> None:
    count = 2 * PAGE + 3
    for number in range(3):
        store_prediction(engine, f"{number:032x}", at=AT + SECOND, headers='{"x-a":"1"}', values_json='[{"label":"x"}]')
    template = rows(database_url, "prediction")[0]
    with writing(engine) as connection:
        connection.execute(
            insert(prediction), [template | {"id": f"{number:032x}", "at": AT + number % 7} for number in range(3, count)]
        )
    store_prediction(engine, "f" * 32, route="other")
    found = lines(url, "/v1/predictions:export")
    assert len(found) == count
    assert [(one["at"], one["id"]) for one in found] == sorted((one["at"], one["id"]) for one in found)
    last = found[-1]
    assert last["headers"] == {"x-a": "1"}
    assert last["values"] == [{"label": "x"}]
    assert last["request_body"] == '{"amount": 1}'
    columns = {"values" if name == "values_json" else name for name in prediction.c.keys()}  # noqa: SIM118
    assert set(last) == columns - {"request_stored", "answer_stored"} | {"cursor"}


def test_an_export_goes_on_behind_any_of_its_lines(url: str, engine: Engine) -> None:
    for number in range(9):
        store_prediction(engine, f"{number:032x}", at=AT + number // 3)
        store_pair(engine, f"{number:032x}")
    for path in ("/v1/predictions:export", "/v1/pairs:export"):
        whole = lines(url, path)
        assert len(whole) == 9
        assert [lines(url, path, after=one["cursor"]) for one in whole] == [whole[place:] for place in range(1, 10)]


def test_an_export_has_the_rows_of_its_time_and_rollout_only(url: str, engine: Engine) -> None:
    for number in range(5):
        store_prediction(engine, f"{number:032x}", at=AT + number, rollout=number % 2)
    found = lines(url, "/v1/predictions:export", since=AT + 1, until=AT + 4)
    assert [one["at"] - AT for one in found] == [1, 2, 3]
    assert [one["at"] - AT for one in lines(url, "/v1/predictions:export", rollout=1)] == [1, 3]


def test_a_body_that_is_no_text_is_exported_as_base64(url: str, engine: Engine) -> None:
    store_prediction(engine, "0" * 32, answer_body=b"\xff\x00", answer_size=2)
    (found,) = lines(url, "/v1/predictions:export")
    assert "answer_body" not in found
    assert found["answer_body_base64"] == b64encode(b"\xff\x00").decode()


@pytest.mark.parametrize("cursor", ["x", "1", "x:1", f"{10**30}:a", "1:"])
def test_a_place_that_is_none_is_refused_before_anything_is_sent(url: str, cursor: str) -> None:
    with httpx.Client(base_url=url, timeout=30) as client:
        answer = client.get("/v1/predictions:export", params={"route": "fraud", "after": cursor})
        assert client.get("/v1/predictions:export", params={"route": "none"}).status_code == 404
    assert answer.status_code == 422
    assert "no place in an export" in answer.json()["detail"]


def test_the_command_writes_a_file_that_appears_whole(url: str, engine: Engine, tmp_path: Path) -> None:
    for number in range(3):
        store_prediction(engine, f"{number:032x}", at=AT + number)
    file = tmp_path / "fraud.ndjson"
    assert main(["export", "fraud", "--output", str(file), "--url", url]) == 0
    assert [json.loads(line)["at"] - AT for line in file.read_text().splitlines()] == [0, 1, 2]
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith("fraud")] == ["fraud.ndjson"]


def test_the_command_writes_cloud_events_in_pairs(url: str, engine: Engine, tmp_path: Path) -> None:
    body = b'{\n "prediction": 0.10000000000000000001}'
    sizes = {"request_size": 13, "answer_size": len(body), "request_type": "application/json", "answer_type": "application/json"}
    store_prediction(engine, "1" * 32, answer_body=body, **sizes)
    store_prediction(engine, "2" * 32, at=AT + 1, **(sizes | {"answer_size": 10_000}))
    file = tmp_path / "events"
    assert main(["export", "fraud", "--format", "cloudevents", "--output", str(file), "--url", url]) == 0
    raw = file.read_text().splitlines()
    asked, given, _, cut = map(json.loads, raw)
    assert asked["type"] == "org.kubeflow.serving.inference.request"
    assert given["type"] == "org.kubeflow.serving.inference.response"
    assert asked["id"] == given["id"] == "1" * 32
    assert asked["specversion"] == "1.0"
    assert asked["time"] == "2023-11-14T22:13:20Z"
    assert given["time"] == "2023-11-14T22:13:20.001500Z"
    assert asked["data"] == {"amount": 1}
    assert '"data":{"prediction":0.10000000000000000001}' in raw[1]
    assert cut["truncated"] is True
    assert cut["data_base64"] == b64encode(b'{"prediction": "x"}').decode()


def test_the_command_refuses_what_it_cannot_write(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "fraud", "--format", "csv", "--url", url]) == 2
    assert "ndjson, cloudevents" in capsys.readouterr().err
    assert main(["export", "fraud", "--format", "cloudevents", "--what", "pairs", "--url", url]) == 2
    assert main(["export", "fraud", "--since", "yesterday", "--url", url]) == 2
    assert "no time" in capsys.readouterr().err


def test_an_export_of_nothing_is_an_empty_file(url: str, engine: Engine, tmp_path: Path) -> None:
    with writing(engine) as connection:
        connection.execute(delete(prediction))
    file = tmp_path / "none"
    assert main(["export", "fraud", "--since", "7d", "--output", str(file), "--url", url]) == 0
    assert file.read_bytes() == b""
