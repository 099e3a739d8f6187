"""A command that carries an Idempotency-Key is carried out once, whatever becomes of its answers."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import Engine

from modelctl.controlplane.api.idempotency import KEPT, UNDER_WAY
from modelctl.store import answers
from modelctl.store.engine import reading, writing

BACKEND = {"name": "fraud-v1", "endpoints": ["http://fraud.test:8000"]}
NOW = 1_700_000_000_000_000


def add(api: httpx.Client, key: str, **changes: object) -> httpx.Response:
    return api.post("/v1/backends", json=BACKEND | changes, headers={"idempotency-key": key})


def test_the_same_command_again_gets_the_same_answer_and_is_done_once(api: httpx.Client) -> None:
    first, again = add(api, "one"), add(api, "one")
    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    assert first.headers["etag"] == again.headers["etag"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len(api.get("/v1/events").json()["items"]) == 1


def test_a_refusal_is_an_answer_too(api: httpx.Client) -> None:
    add(api, "one")
    refused, again = add(api, "two"), add(api, "two")
    assert refused.status_code == again.status_code == 409
    assert again.headers["content-type"] == "application/problem+json"
    assert again.headers["idempotency-replayed"] == "true"


def test_another_command_under_a_used_key_is_refused(api: httpx.Client) -> None:
    add(api, "one")
    other = add(api, "one", name="fraud-v2")
    assert other.status_code == 422
    assert "another request" in other.json()["detail"]
    elsewhere = api.post("/v1/routes", json={"name": "fraud", "baseline": "fraud-v1"}, headers={"idempotency-key": "one"})
    assert elsewhere.status_code == 422


def test_of_many_at_once_one_is_done(api: httpx.Client) -> None:
    key = str(uuid4())
    with ThreadPoolExecutor(8) as pool:
        statuses = [answer.status_code for answer in pool.map(lambda _: add(api, key), range(8))]
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    assert add(api, key).status_code == 201
    assert len(api.get("/v1/events").json()["items"]) == 1


def test_one_that_is_under_way_is_told_so_and_one_whose_end_nobody_saw_is_not_repeated(api: httpx.Client, lite: Engine) -> None:
    digest = _digest_of_one(api, lite)
    now = int(api.get("/v1/status").json()["at"]) * 1000
    for at, words in ((now, "still under way"), (now - 2 * UNDER_WAY, "look whether it was done")):
        with writing(lite) as connection:
            answers.forget(connection, "one")
            answers.begin(connection, "one", digest=digest, at=at)
        waiting = add(api, "one")
        assert waiting.status_code == 409
        assert waiting.json()["code"] == "under-way"
        assert words in waiting.json()["detail"]


def _digest_of_one(api: httpx.Client, engine: Engine) -> str:
    add(api, "one")
    with reading(engine) as connection:
        found = answers.find(connection, "one")
    assert found is not None
    return found.digest


def test_a_key_is_forgotten_after_a_day(api: httpx.Client, lite: Engine) -> None:
    now = int(api.get("/v1/status").json()["at"]) * 1000
    with writing(lite) as connection:
        answers.begin(connection, "old", digest="x", at=now - KEPT - 1_000_000)
        answers.begin(connection, "young", digest="x", at=now - KEPT + 600_000_000)
    add(api, "one")
    with reading(lite) as connection:
        assert answers.find(connection, "old") is None
        assert answers.find(connection, "young") is not None


@pytest.mark.parametrize("key", ["x" * 201, "two words", "tab\there"])
def test_a_key_that_is_none_is_refused(api: httpx.Client, key: str) -> None:
    assert add(api, key).status_code == 422
    assert api.get("/v1/backends").json()["items"] == []


def test_commands_without_a_key_leave_nothing_behind(api: httpx.Client, lite: Engine) -> None:
    api.post("/v1/backends", json=BACKEND)
    with reading(lite) as connection:
        assert answers.find(connection, "") is None


def test_answers_are_kept_in_both_databases(engine: Engine) -> None:
    with writing(engine) as connection:
        answers.begin(connection, "one", digest="x", at=NOW)
        answers.finish(connection, "one", status=201, headers={"etag": '"1"'}, body=b"{}")
    with writing(engine) as connection:
        found = answers.find(connection, "one")
        assert found == answers.Answer(digest="x", at=NOW, status=201, headers={"etag": '"1"'}, body=b"{}")
        assert answers.remove_older(connection, NOW + 1, limit=10) == 1
