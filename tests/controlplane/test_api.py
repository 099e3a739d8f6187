"""The API as programs meet it: a server on a socket, and JSON."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.fleet import Fleet
from modelctl.settings import Settings
from modelctl.store import schema
from modelctl.store.catalog import StoredTable
from modelctl.store.engine import connect
from modelctl.traffic import RoutingTable, decode_table, encode_table
from tests.controlplane.scene import store_pair, store_prediction

Serve = Callable[[Starlette], str]


def post(api: httpx.Client, path: str, body: object = None, **headers: str) -> httpx.Response:
    return api.post(path, json={} if body is None else body, headers=headers)


@pytest.fixture
def stocked(api: httpx.Client) -> httpx.Client:
    """Backends a and b, and a route whose baseline is a."""
    for name in ("a", "b"):
        assert post(api, "/v1/backends", {"name": name, "endpoints": [f"http://{name}.test:8000"]}).status_code == 201
    assert post(api, "/v1/routes", {"name": "fraud", "path": "/fraud", "baseline": "a"}).status_code == 201
    return api


class Router:
    """A worker that polls for tables and takes (or refuses) what it gets, until the test ends."""

    def __init__(self, api: httpx.Client, name: str = "w0", *, refuses: bool = False) -> None:
        self.last: dict[str, int] = {}
        self._address = (api.base_url.host, api.base_url.port)
        self._said: dict[str, str | int] = {"worker": name, "after": 0, "applied": 0}
        self._refuses = refuses
        self._stopped = False
        self._connection = HTTPConnection(*self._address)
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Router":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        with suppress(OSError, AttributeError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._stopped:
            last = ",".join(f"{name}:{at}" for name, at in self.last.items())
            query = urlencode(self._said | {"last": last, "applied_us": time.time_ns() // 1000})
            self._connection = HTTPConnection(*self._address)
            try:
                self._connection.request("GET", f"/internal/table?{query}")
                answer = self._connection.getresponse()
                body = answer.read()
            except (OSError, HTTPException):
                return
            finally:
                self._connection.close()
            if answer.status == 200:
                version = decode_table(body).version
                self._said |= {"refused": version, "why": "too spicy"} if self._refuses else {"after": version, "applied": version}


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as made:
        yield made


def test_a_rollout_from_start_to_promotion(stocked: httpx.Client) -> None:
    wanted = {"strategy": "canary", "parameters": {"percent_bp": 500, "steps_bp": [2500]}, "reason": "new features"}
    started = post(stocked, "/v1/rollouts", wanted, **{"modelctl-actor": "ann"})
    assert started.status_code == 201
    rollout = started.json()["rollout"]
    assert (rollout["id"], rollout["candidates"], rollout["actor"], rollout["reason"]) == (1, ["b"], "ann", "new features")
    assert started.json()["inferred"][0] == "route 'fraud', because it is the only one"
    assert post(stocked, "/v1/rollouts/1:advance").json()["rollout"]["step"] == 1
    assert post(stocked, "/v1/rollouts/1:pause").json()["rollout"]["phase"] == "paused"
    assert post(stocked, "/v1/rollouts/1:resume").json()["rollout"]["phase"] == "progressing"
    assert post(stocked, "/v1/rollouts/1:promote").json()["rollout"]["winner"] == "b"
    assert stocked.get("/v1/routes/fraud").json()["baseline"] == "b"
    assert stocked.get("/v1/rollouts/1").json()["phase"] == "promoted"
    assert [one["id"] for one in stocked.get("/v1/rollouts", params={"route": "fraud"}).json()["items"]] == [1]
    put_back = post(stocked, "/v1/routes/fraud:rollback", {"reason": "complaints"}).json()
    assert put_back["route"]["baseline"] == "a"
    actions = [one["action"] for one in stocked.get("/v1/events", params={"route": "fraud"}).json()["items"]]
    assert actions == ["rollback", "promote", "resume", "pause", "advance", "start", "add-route"]


def test_rolling_a_route_back_ends_its_open_rollout(stocked: httpx.Client) -> None:
    post(stocked, "/v1/rollouts", {"strategy": "shadow"})
    answer = post(stocked, "/v1/routes/fraud:rollback").json()
    assert (answer["rollout"]["phase"], answer["route"]["rollout"]) == ("rolled-back", None)
    post(stocked, "/v1/rollouts", {"strategy": "shadow"})
    refused = post(stocked, "/v1/routes/fraud:rollback", {"to": 1})
    assert (refused.status_code, refused.json()["commands"]) == (409, ["modelctl rollback fraud"])


def test_a_command_without_a_body_is_one_without_a_reason(stocked: httpx.Client) -> None:
    post(stocked, "/v1/rollouts", {"strategy": "shadow"})
    assert stocked.post("/v1/rollouts/1:pause").status_code == 200


def test_backends_and_routes_come_and_go(stocked: httpx.Client) -> None:
    assert [one["name"] for one in stocked.get("/v1/backends").json()["items"]] == ["a", "b"]
    shown = stocked.get("/v1/backends/b")
    assert (shown.json()["endpoints"], shown.headers["etag"]) == (["http://b.test:8000"], '"1"')
    assert stocked.delete("/v1/backends/b").status_code == 200
    assert stocked.get("/v1/backends/b").status_code == 404
    assert stocked.delete("/v1/backends/a").json()["code"] == "conflict"
    assert [one["name"] for one in stocked.get("/v1/routes").json()["items"]] == ["fraud"]
    assert stocked.delete("/v1/routes/fraud").status_code == 200
    assert stocked.get("/v1/routes").json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "words"),
    [
        ("/v1/backends", {"name": "x", "endpoints": ["ftp://x"]}, 422, "invalid-input", "http:// or https://"),
        ("/v1/backends", {"name": "x"}, 422, "invalid-input", "endpoints"),
        ("/v1/backends", {"name": "x", "endpoints": ["http://x"], "colour": 1}, 422, "invalid-input", "unknown field `colour`"),
        ("/v1/backends", {"name": "a", "endpoints": ["http://x"]}, 409, "conflict", "already"),
        ("/v1/backends", [], 422, "invalid-input", "Expected `object`"),
        ("/v1/routes", {"name": "x", "path": "/x", "baseline": "zz"}, 404, "not-found", "no backend 'zz'"),
        ("/v1/rollouts", {"strategy": "yolo"}, 422, "invalid-input", "canary, shadow"),
        ("/v1/rollouts", {"strategy": "shadow", "route": "zz"}, 404, "not-found", "there are fraud"),
        ("/v1/rollouts/9:promote", {}, 404, "not-found", "no rollout 9"),
        ("/v1/rollouts/9:explode", {}, 404, "not-found", "nothing at this path"),
        ("/v1/feedback", {"request_id": "r"}, 422, "invalid-input", "value"),
        ("/v1/feedback", {"request_id": "r", "value": None}, 422, "invalid-input", "value"),
    ],
)
def test_what_is_wrong_is_a_problem_that_says_so(
    stocked: httpx.Client, path: str, body: object, status: int, code: str, words: str
) -> None:
    answer = stocked.post(path, json=body)
    problem = answer.json()
    assert (answer.status_code, problem["code"], answer.headers["content-type"]) == (status, code, "application/problem+json")
    assert words in problem["detail"]


def test_what_is_no_json_is_malformed_and_what_is_no_json_type_is_refused(api: httpx.Client) -> None:
    broken = api.post("/v1/backends", content=b'{"name":', headers={"content-type": "application/json"})
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed")
    form = api.post("/v1/backends", data={"name": "x"})
    assert (form.status_code, form.json()["code"]) == (415, "unsupported-media-type")


def test_a_body_of_more_than_a_megabyte_is_refused(api: httpx.Client) -> None:
    body = b'{"name": "' + b"x" * (1024 * 1024) + b'"}'
    declared = api.post("/v1/backends", content=body, headers={"content-type": "application/json"})
    streamed = api.post("/v1/backends", content=iter([body]), headers={"content-type": "application/json"})
    assert (declared.status_code, streamed.status_code, declared.json()["code"]) == (413, 413, "too-large")


def test_if_match_guards_a_change(stocked: httpx.Client) -> None:
    post(stocked, "/v1/rollouts", {"strategy": "shadow"})
    shown = stocked.get("/v1/rollouts/1")
    assert post(stocked, "/v1/rollouts/1:pause", **{"if-match": shown.headers["etag"]}).status_code == 200
    stale = post(stocked, "/v1/rollouts/1:promote", **{"if-match": shown.headers["etag"]})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale-revision")
    assert stocked.delete("/v1/backends/b", headers={"if-match": '"nine"'}).status_code == 422
    assert stocked.get("/v1/rollouts/1").json()["phase"] == "paused"


def test_a_backend_is_changed_by_a_patch_that_names_its_revision(stocked: httpx.Client) -> None:
    tag = stocked.get("/v1/backends/b").headers["etag"]
    changed = stocked.patch("/v1/backends/b", json={"kind": "v2", "retries": {"attempts": 3}}, headers={"if-match": tag})
    assert (changed.status_code, changed.headers["etag"], changed.json()["retries"]["attempts"]) == (200, '"2"', 3)
    assert changed.json()["convergence"]["version"] == 4
    stale = stocked.patch("/v1/backends/b", json={"idempotent": True}, headers={"if-match": tag})
    assert (stale.status_code, stale.json()["code"]) == (412, "stale-revision")
    assert stocked.get("/v1/backends/b").json()["idempotent"] is False


def test_a_backend_shows_the_health_checks_that_routers_make(stocked: httpx.Client) -> None:
    two = {"name": "c", "endpoints": ["http://c.test:1", "http://c.test:2"], "kind": "v2"}
    made = post(stocked, "/v1/backends", two).json()
    assert (made["health"], made["checks"]["path"]) == (None, "/v2/health/ready")
    assert stocked.patch("/v1/backends/c", json={"checked": False}).json()["checks"] is None


def test_a_route_is_changed_by_a_patch_and_keeps_its_rollout(stocked: httpx.Client) -> None:
    post(stocked, "/v1/rollouts", {"strategy": "shadow"})
    changed = stocked.patch("/v1/routes/fraud", json={"admission": {"deny": ["/admin"]}, "breaker": {}}).json()
    assert (changed["admission"]["deny"], changed["breaker"]["probes"], changed["rollout"]) == (["/admin"], 3, 1)
    shown = stocked.get("/v1/routes/fraud")
    assert (shown.json()["admission"], shown.headers["etag"]) == (changed["admission"], '"2"')


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/backends/b", {"name": "c"}, 422, "unknown field `name`"),
        ("/v1/backends/b", {"tls": {"verfy": False}}, 422, "unknown field `verfy`"),
        ("/v1/backends/b", {"tls": {"ca": "ca.pem"}}, 422, "absolute path"),
        ("/v1/backends/zz", {}, 404, "no backend 'zz'"),
        ("/v1/routes/fraud", {"baseline": "b"}, 422, "unknown field `baseline`"),
        ("/v1/routes/fraud", {"admission": {"keys": [{"name": "app", "sha256": "mk_secret"}]}}, 422, "64 lower-case hex digits"),
    ],
)
def test_a_patch_that_is_wrong_is_a_problem_that_says_so(
    stocked: httpx.Client, path: str, *, body: object, status: int, words: str
) -> None:
    answer = stocked.patch(path, json=body)
    assert answer.status_code == status
    assert words in answer.json()["detail"]


def test_a_patch_waits_for_the_routers_like_any_command(stocked: httpx.Client) -> None:
    with Router(stocked, "w0"):
        while not stocked.get("/v1/status").json()["workers"]:
            time.sleep(0.01)
        changed = stocked.patch("/v1/backends/b", json={"max_inflight": 9}).json()["convergence"]
    assert (changed["converged"], [one["worker"] for one in changed["workers"]]) == (True, ["w0"])


def test_evidence_tells_of_attempts_first_events_and_ends(stocked: httpx.Client, lite: Engine) -> None:
    store_prediction(lite, "p1", attempts=2, first_event_us=900)
    store_pair(lite, "p1", candidate_ended="cut", candidate_first_event_us=800)
    store_pair(lite, "p2")
    (one,) = stocked.get("/v1/predictions").json()["items"]
    assert (one["attempts"], one["first_event_us"]) == (2, 900)
    whole, cut = stocked.get("/v1/pairs").json()["items"]
    assert (whole["ended"], whole["baseline"]["ended"], whole["candidate"]["ended"]) == ("clean", "clean", "clean")
    assert (cut["ended"], cut["baseline"]["ended"], cut["candidate"]["ended"]) == ("cut", "clean", "cut")
    assert (cut["baseline"]["first_event_us"], cut["candidate"]["first_event_us"]) == (0, 800)


def test_lists_come_in_pages(stocked: httpx.Client, lite: Engine) -> None:
    for number in range(5):
        store_prediction(lite, f"p{number}", label="yes")
        store_pair(lite, f"p{number}", agree=number % 2)
    for path in ("/v1/predictions", "/v1/pairs", "/v1/events"):
        whole = stocked.get(path).json()["items"]
        first = stocked.get(path, params={"limit": 2}).json()
        second = stocked.get(path, params={"limit": 1000, "cursor": first["next"]}).json()
        assert first["items"] + second["items"] == whole
        assert second["next"] is None
    assert len(stocked.get("/v1/pairs", params={"agree": 0}).json()["items"]) == 3
    assert stocked.get("/v1/events", params={"cursor": "x"}).status_code == 422


def test_predictions_are_found_by_what_they_have(stocked: httpx.Client, lite: Engine) -> None:
    store_prediction(lite, "p1", arm="b", outcome="timeout", request_id="r1")
    store_prediction(lite, "p2")
    for name, value in (("arm", "b"), ("outcome", "timeout"), ("request_id", "r1")):
        assert [one["id"] for one in stocked.get("/v1/predictions", params={name: value}).json()["items"]] == ["p1"]
    shown = stocked.get("/v1/predictions/p2").json()
    assert (shown["prediction"]["arm"], shown["request"]["preview"]) == ("a", '{"amount": 1}')
    assert stocked.get("/v1/predictions/p3").status_code == 404


def test_a_prediction_says_that_its_bodies_were_left_out_by_sampling(stocked: httpx.Client, lite: Engine) -> None:
    store_prediction(lite, "p1", request_size=13, bodies_kept=0, request_body=b"", answer_body=b"", answer_size=0)
    store_prediction(lite, "p2", request_size=13)
    left_out, kept = (stocked.get(f"/v1/predictions/{name}").json() for name in ("p1", "p2"))
    assert left_out["request"]["note"] == "not kept: the request is not in the sample of bodies that its route keeps"
    assert (left_out["answer"]["note"], kept["request"]["note"]) == ("", "")


def test_feedback_comes_alone_or_in_lists(stocked: httpx.Client) -> None:
    assert post(stocked, "/v1/feedback", {"request_id": "r1", "value": "fraud"}).json()["accepted"] == 1
    many = [{"request_id": f"r{number}", "value": number} for number in range(2, 5)]
    assert post(stocked, "/v1/feedback", many).json() == {"accepted": 3, "duplicates": 0, "unmatched": 3}
    assert post(stocked, "/v1/feedback", {"request_id": "r1", "value": "legit"}).status_code == 409


def test_the_report_is_json_or_markdown(stocked: httpx.Client) -> None:
    assert stocked.get("/v1/routes/fraud/report").status_code == 404
    post(stocked, "/v1/rollouts", {"strategy": "shadow"})
    assert stocked.get("/v1/routes/fraud/report").json()["verdict"]["word"] == "no-data"
    text = stocked.get("/v1/routes/fraud/report", params={"format": "md"})
    assert text.headers["content-type"] == "text/markdown; charset=utf-8"
    assert text.text.startswith("# fraud: no-data")
    assert stocked.get("/v1/routes/fraud/report", params={"format": "pdf"}).status_code == 422


def test_a_command_waits_until_every_worker_serves_from_its_table(stocked: httpx.Client) -> None:
    with Router(stocked, "w0") as first, Router(stocked, "w1"):
        first.last = {"b": 1}
        while len(stocked.get("/v1/status").json()["workers"]) < 2:
            time.sleep(0.01)
        post(stocked, "/v1/rollouts", {"strategy": "shadow"})
        found = post(stocked, "/v1/rollouts/1:rollback").json()["convergence"]
        assert (found["converged"], found["version"], found["laggards"]) == (True, 5, [])
        assert [(one["worker"], one["version"]) for one in found["workers"]] == [("w0", 5), ("w1", 5)]
        assert [one["last_request_ms"] for one in found["workers"]] == [{"b": None}, {"b": None}]
        assert found["elapsed_ms"] < 2_000
        workers = stocked.get("/v1/status").json()["workers"]
        assert [(one["worker"], one["version"], one["alive"]) for one in workers] == [("w0", 5, True), ("w1", 5, True)]


def test_a_refused_table_is_told_at_once(stocked: httpx.Client) -> None:
    with Router(stocked, refuses=True):
        while not stocked.get("/v1/status").json()["workers"]:
            time.sleep(0.01)
        found = post(stocked, "/v1/rollouts", {"strategy": "shadow"}).json()["convergence"]
    assert not found["converged"]
    assert found["laggards"][0]["reason"].endswith("too spicy")


def test_a_poll_is_held_until_there_is_a_newer_table(stocked: httpx.Client, pool: ThreadPoolExecutor) -> None:
    url = f"{stocked.base_url}/internal/table"
    held: Future[httpx.Response] = pool.submit(httpx.get, url, params={"worker": "w0", "after": 3, "applied": 3}, timeout=30)
    while not stocked.get("/v1/status").json()["workers"]:
        time.sleep(0.01)
    assert not held.done()
    post(stocked, "/v1/backends", {"name": "c", "endpoints": ["http://c.test"]})
    table = decode_table(held.result(timeout=5).content)
    assert (table.version, [one.name for one in table.backends]) == (4, ["a", "b", "c"])


def test_a_worker_that_hangs_up_is_noticed(stocked: httpx.Client) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{stocked.base_url}/internal/table", params={"worker": "w0", "after": 3, "applied": 3}, timeout=0.2)
    deadline = time.monotonic() + 10
    while stocked.get("/v1/status").json()["workers"][0]["alive"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("query", ["after=0", "worker=w0&after=x", "worker=w0&last=a", "worker=w0&bogus=1"])
def test_a_poll_that_makes_no_sense_is_refused(api: httpx.Client, query: str) -> None:
    assert api.get(f"/internal/table?{query}").status_code == 422


def test_with_a_key_everything_but_livez_asks_for_it(lite: Engine, serve: Serve) -> None:
    key = "k" * 24
    with httpx.Client(base_url=serve(create_app(lite, Settings(key=key)))) as client:
        assert client.get("/livez").status_code == 200
        for path in ("/readyz", "/v1/status", "/openapi.json", "/internal/table?worker=w0", "/nothing"):
            refused = client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (401, "not-authorised")
            assert client.get(path, headers={"authorization": f"Bearer {key}x"}).status_code == 401
        assert client.get("/v1/status", headers={"authorization": f"Bearer {key}"}).status_code == 200


def test_without_a_key_other_names_and_other_sites_are_locked_out(api: httpx.Client) -> None:
    assert api.get("/v1/status", headers={"host": "evil.example"}).status_code == 403
    assert api.get("/v1/status", headers={"host": "localhost:1"}).status_code == 200
    assert api.get("/v1/status", headers={"host": "[::1]:1"}).status_code == 200
    crossing = post(api, "/v1/backends", {"name": "x", "endpoints": ["http://x"]}, **{"sec-fetch-site": "cross-site"})
    assert (crossing.status_code, crossing.json()["code"]) == (403, "forbidden")


def test_it_is_alive_and_ready(api: httpx.Client) -> None:
    assert (api.get("/livez").json(), api.get("/readyz").json()) == ({"status": "ok"}, {"status": "ok"})
    assert api.get("/openapi.json").json()["openapi"] == "3.1.0"


def test_a_store_that_comes_late_is_used_once_it_is_there(tmp_path: Path, serve: Serve) -> None:
    url = f"sqlite:///{tmp_path / 'late.db'}"
    engine = connect(url)
    with httpx.Client(base_url=serve(create_app(engine, Settings()))) as client:
        assert client.get("/livez").status_code == 200
        for path in ("/readyz", "/v1/status", "/v1/backends"):
            refused = client.get(path)
            assert (refused.status_code, refused.json()["code"]) == (503, "schema-outdated")
        schema.upgrade(url)
        assert post(client, "/v1/backends", {"name": "a", "endpoints": ["http://a.test"]}).status_code == 201
    engine.dispose()


def test_while_the_database_is_dead_routers_are_served_from_memory_and_commands_are_refused(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    engine = connect(f"postgresql://nobody@127.0.0.1:{port}/none")
    fleet = Fleet(unix_microseconds)
    fleet.publish(StoredTable(7, encode_table(RoutingTable(version=7))))
    with httpx.Client(base_url=serve(create_app(engine, Settings(), fleet=fleet)), timeout=30) as client:
        assert decode_table(client.get("/internal/table", params={"worker": "w0"}).content).version == 7
        refused = post(client, "/v1/rollouts/1:rollback")
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "store-error", "2")
        assert client.get("/livez").status_code == 200
    engine.dispose()


def test_a_table_that_was_published_before_a_restart_is_served_again(stocked: httpx.Client, lite: Engine, serve: Serve) -> None:
    again = serve(create_app(lite, Settings()))
    answer = httpx.get(f"{again}/internal/table", params={"worker": "w0"}, timeout=10)
    assert decode_table(answer.content).version == 3
