"""Wrong words, wrong bodies, wrong headers, wrong settings: one clear error each, and nothing changes."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Load, bodies, failures, flowing
from tests.acceptance.program import Process, Program, Ran, modelctl, running, until
from tests.acceptance.scene import add_backends, add_route
from tests.ports import free_port

DECISIONS = ("backend", "route", "rollout", "stage", "event", "routing_table", "feedback")
KEY = "a-key-of-sixteen-characters"


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A route at rest, and one with a canary at its last step."""
    with running(tmp_path_factory.mktemp("bad")) as program:
        add_backends(program, models)
        add_route(program, "quiet")
        add_route(program, "trying")
        program.modelctl("canary", "trying", "new", "--percent", "50").done()
        yield program


class Snapshot(NamedTuple):
    """Everything that commands decide about, as the database has it."""

    tables: dict[str, list[Any]]

    @classmethod
    def of(cls, program: Program) -> "Snapshot":
        ledger = Ledger(program.database_url)
        return cls({table: sorted(map(tuple, ledger.rows(f"SELECT * FROM {table}"))) for table in DECISIONS})  # noqa: S608


@pytest.fixture
def unchanged(program: Program) -> Iterator[None]:
    """Whatever the test does changes nothing."""
    before = Snapshot.of(program)
    yield
    assert Snapshot.of(program) == before


def one_error(ran: Ran, code: int, *, says: str) -> None:
    """The command failed with `code`, and stderr holds one error that says so, and no traceback; stdout holds nothing."""
    assert ran.code == code, ran
    assert ran.out == ""
    assert "Traceback" not in ran.err
    assert says.lower() in " ".join(ran.err.lower().split()), ran.err
    assert ran.err.lower().count("error: ") + ran.err.count("─ Error ─") == 1, ran.err


COMMANDS: tuple[tuple[str, int, str], ...] = (
    # what the command line itself cannot mean
    ("nonsense", 2, "No such command"),
    ("canary quiet new", 2, "say how much: modelctl canary --percent 5"),
    ("canary quiet new --percent", 2, "requires an argument"),
    ("canary quiet new --percent five", 2, "no percent"),
    ("canary quiet new --percent -5", 2, "no percent"),
    ("canary quiet new --percent 101", 2, "more than 100%"),
    ("canary quiet new --percent 0.001", 2, "too fine"),
    ("canary quiet new --percent 1e1", 2, "no percent"),
    ("canary quiet new --percent 5 --steps 5,", 2, "no percent"),
    ("canary quiet new third --percent 5", 2, "one candidate"),
    ("shadow quiet new --max-inflight many", 2, "Invalid value for '--max-inflight'"),
    ("ab quiet old=50", 2, "two arms or more"),
    ("ab quiet old=50 new=40", 2, "add up to 90%"),
    ("ab quiet old=50 old=50", 2, "two shares"),
    ("status -o xml", 2, "this command knows"),
    ("status --wait soon", 2, "can be waited for"),
    ("status --wait promoted --timeout soon", 2, "no duration"),
    ("route remove quiet", 2, "--yes"),
    ("backend add lonely", 2, "say where backend lonely listens"),
    ("backend test old --sample no-such-file.json", 2, "no-such-file.json"),
    ("predictions --limit 0", 2, "Invalid value for '--limit'"),
    # what the control plane refuses
    ("canary quiet new --percent 0", 2, "from 1 to 10000"),
    ("canary quiet new --percent 50 --steps 50,20", 2, "must rise"),
    ("canary quiet old --percent 5", 2, "must be different backends"),
    ("shadow quiet new --percent 0", 2, "from 1 to 10000"),
    ("shadow quiet new --max-inflight 0", 2, "max_inflight"),
    ("shadow quiet new new", 2, "different backends"),
    ("ab quiet new=50 third=50", 2, "must be one of the arms"),
    ("promote trying --winner third", 2, "no candidate of rollout"),
    ("promote trying --winner old", 2, "modelctl rollback trying"),
    ("canary --percent 5", 2, "modelctl canary quiet"),
    ("rollback quiet --to 99999", 1, "did not set the baseline"),
    ("backend add Upper http://127.0.0.1:1", 2, "no name for a backend"),
    ("backend add named ftp://127.0.0.1:1", 2, "starts with http://"),
    ("backend add named http://127.0.0.1:1 --kind abacus", 2, "abacus"),
    ("backend add named http://127.0.0.1:1 --type colour", 2, "colour"),
    ("backend add named http://127.0.0.1:1 --prediction $[", 2, "$["),
    ("route add named --path named --backend old", 2, "must be '/'"),
    ("route add named --path /-/preview --backend old", 2, "router's own"),
    ("route add named --path /named --backend old --unit cookie:x", 2, "the unit"),
    ("route add named --path /named --backend old --host Not/A/Host", 2, "host"),
    # what is not there
    ("canary nowhere new --percent 5", 1, "neither a route nor a backend"),
    ("canary quiet nothing --percent 5", 1, "nothing"),
    ("ab quiet old=50 nothing=50", 1, "nothing"),
    ("route add named --path /named --backend nothing", 1, "nothing"),
    ("route show nowhere", 1, "nowhere"),
    ("backend show nothing", 1, "nothing"),
    ("backend remove nothing --yes", 1, "nothing"),
    ("report nowhere", 1, "nowhere"),
    ("report trying --rollout 99", 1, "99"),
    ("promote quiet", 1, "no rollout is open"),
    ("advance quiet", 1, "no rollout is open"),
    # what is in the way
    ("backend add old http://127.0.0.1:1", 5, "there is a backend 'old' already"),
    ("backend remove old --yes", 5, "in use"),
    ("route add quiet --path /elsewhere --backend old", 5, "there is a route 'quiet' already"),
    ("route add named --path /quiet --backend old", 5, "has the address"),
    ("route remove trying --yes", 5, "open rollout"),
    ("shadow trying third", 5, "open rollout"),
    ("advance trying", 5, "at its last step"),
    ("resume trying", 5, "possible now"),
    ("rollback quiet", 5, "nothing to roll back"),
    # nobody there
    ("status --url http://127.0.0.1:1", 6, "does not answer"),
    ("status --url nowhere", 2, "no URL"),
)


@pytest.mark.parametrize(("line", "code", "says"), COMMANDS, ids=[line for line, *_ in COMMANDS])
def test_a_wrong_command_says_why_and_changes_nothing(
    program: Program, unchanged: None, *, line: str, code: int, says: str
) -> None:
    one_error(program.modelctl(*line.split()), code, says=says)


JSON = {"content-type": "application/json"}
CALLS: tuple[tuple[str, dict[str, str], bytes, int, str], ...] = (
    ("POST /v1/backends", JSON, b"{", 400, "malformed"),
    ("POST /v1/backends", JSON, b"\xff\xfe", 400, "malformed"),
    ("POST /v1/backends", JSON, b"[]", 422, "invalid-input"),
    ("POST /v1/backends", JSON, b'{"name": "named"}', 422, "invalid-input"),
    ("POST /v1/backends", JSON, b'{"name": "named", "endpoints": []}', 422, "invalid-input"),
    ("POST /v1/backends", JSON, b'{"name": "named", "endpoints": ["http://h"], "colour": 1}', 422, "invalid-input"),
    ("POST /v1/backends", JSON, b'{"name": "named", "endpoints": ["http://h"], "max_inflight": 0}', 422, "invalid-input"),
    ("POST /v1/backends", JSON, b'{"name": "../etc", "endpoints": ["http://h"]}', 422, "invalid-input"),
    ("POST /v1/backends", {"content-type": "text/plain"}, b"{}", 415, "unsupported-media-type"),
    ("POST /v1/backends", {"content-type": "application/x-www-form-urlencoded"}, b"a=b", 415, "unsupported-media-type"),
    ("POST /v1/backends", JSON | {"sec-fetch-site": "cross-site"}, b"{}", 403, "forbidden"),
    ("POST /v1/backends", JSON | {"host": "evil.example"}, b"{}", 403, "forbidden"),
    ("POST /v1/backends", JSON, b" " * 1_048_577, 413, "too-large"),
    ("POST /v1/routes", JSON, b'{"name": "named"}', 422, "invalid-input"),
    ("POST /v1/routes", JSON, b'{"name": "named", "baseline": "old", "path": "/x/../y"}', 422, "invalid-input"),
    ("POST /v1/routes", JSON, b'{"name": "named", "baseline": "old", "capture": {"request_bytes": -1}}', 422, "invalid-input"),
    ("POST /v1/routes", JSON, b'{"name": "named", "baseline": "nothing"}', 404, "not-found"),
    ("POST /v1/rollouts", JSON, b"{}", 422, "invalid-input"),
    ("POST /v1/rollouts", JSON, b'{"strategy": "hope"}', 422, "invalid-input"),
    ("POST /v1/rollouts", JSON, b'{"strategy": "canary", "route": "quiet", "candidates": ["new"]}', 422, "invalid-input"),
    (
        "POST /v1/rollouts",
        JSON,
        b'{"strategy": "canary", "route": "quiet", "candidates": ["new"], "parameters": {"percent_bp": 10001}}',
        422,
        "invalid-input",
    ),
    (
        "POST /v1/rollouts",
        JSON,
        b'{"strategy": "canary", "route": "quiet", "candidates": ["new"], "parameters": {"percent_bp": 5.5}}',
        422,
        "invalid-input",
    ),
    (
        "POST /v1/rollouts",
        JSON,
        b'{"strategy": "shadow", "route": "trying", "candidates": ["third"]}',
        409,
        "conflict",
    ),
    ("POST /v1/rollouts/1:advance", JSON, b"{}", 409, "illegal-move"),
    ("POST /v1/rollouts/1:explode", JSON, b"{}", 404, "not-found"),
    ("POST /v1/rollouts/99:promote", JSON, b"{}", 404, "not-found"),
    ("POST /v1/rollouts/1:promote", JSON | {"if-match": '"99"'}, b"{}", 412, "stale-revision"),
    ("POST /v1/rollouts/1:promote", JSON | {"if-match": "latest"}, b"{}", 422, "invalid-input"),
    ("POST /v1/rollouts/1:promote", JSON, b'{"winner": "third"}', 422, "invalid-input"),
    ("POST /v1/rollouts/1:promote", JSON, b'{"reason": "' + b"x" * 2_001 + b'"}', 422, "invalid-input"),
    ("POST /v1/rollouts/1:promote", JSON | {"modelctl-actor": "x" * 201}, b"{}", 422, "invalid-input"),
    ("POST /v1/rollouts/1:pause", JSON, b'{"winner": "new"}', 422, "invalid-input"),
    ("POST /v1/routes/quiet:rollback", JSON, b"{}", 409, "conflict"),
    ("POST /v1/routes/nowhere:rollback", JSON, b"{}", 404, "not-found"),
    ("POST /v1/routes/trying:rollback", JSON, b'{"to": 1}', 409, "conflict"),
    ("DELETE /v1/backends/old", {}, b"", 409, "conflict"),
    ("DELETE /v1/backends/nothing", {}, b"", 404, "not-found"),
    ("DELETE /v1/backends/third", {"if-match": '"99"'}, b"", 412, "stale-revision"),
    ("DELETE /v1/routes/trying", {}, b"", 409, "conflict"),
    ("POST /v1/feedback", JSON, b"{}", 422, "invalid-input"),
    ("POST /v1/feedback", JSON, b"[]", 422, "invalid-input"),
    ("POST /v1/feedback", JSON, b'{"request_id": "", "value": "x"}', 422, "invalid-input"),
    ("POST /v1/feedback", JSON, b'{"request_id": "a", "value": null}', 422, "invalid-input"),
    ("POST /v1/backends/old:test", JSON, b'{"path": "no-slash", "body": 1}', 422, "invalid-input"),
    ("GET /v1/predictions?limit=0", {}, b"", 422, "invalid-input"),
    ("GET /v1/predictions?limit=many", {}, b"", 422, "invalid-input"),
    ("GET /v1/events?cursor=soon", {}, b"", 422, "invalid-input"),
    ("GET /v1/predictions?colour=red", {}, b"", 422, "invalid-input"),
    ("GET /v1/pairs?agree=2", {}, b"", 422, "invalid-input"),
    ("GET /v1/routes/trying/report?format=pdf", {}, b"", 422, "invalid-input"),
    ("GET /v1/rollouts/99999999999999999999999", {}, b"", 422, "invalid-input"),
    ("GET /v1/nothing", {}, b"", 404, "not-found"),
    ("PUT /v1/routes", JSON, b"{}", 405, "method-not-allowed"),
    ("GET /internal/table?after=soon&worker=w", {}, b"", 422, "invalid-input"),
    ("GET /internal/table?after=1&worker=w&last=broken", {}, b"", 422, "invalid-input"),
)


@pytest.mark.parametrize(
    ("call", "headers", "content", "status", "code"),
    CALLS,
    ids=[f"{number}-{call}-{status}" for number, (call, _, _, status, _) in enumerate(CALLS)],
)
def test_a_wrong_request_is_a_problem_and_changes_nothing(
    program: Program, unchanged: None, *, call: str, headers: dict[str, str], content: bytes, status: int, code: str
) -> None:
    method, path = call.split(" ")
    reply = httpx.request(method, f"{program.url}{path}", headers=headers, content=content, trust_env=False, timeout=10)
    assert (reply.status_code, reply.headers["content-type"]) == (status, "application/problem+json")
    problem = reply.json()
    assert (problem["code"], problem["status"], problem["type"]) == (code, status, f"urn:modelctl:error:{code}")
    assert problem["detail"]
    assert "Traceback" not in reply.text


def test_clients_are_served_while_others_send_nonsense(program: Program, unchanged: None) -> None:
    with flowing(Load(program.port, bodies("calm", "/quiet"), connections=8, rate=200.0)) as flow:
        for call, headers, content, status, _ in CALLS:
            method, path = call.split(" ")
            reply = httpx.request(method, f"{program.url}{path}", headers=headers, content=content, trust_env=False)
            assert reply.status_code == status
        with socket.create_connection(("127.0.0.1", program.port)) as broken:
            broken.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
            assert b" 400 " in broken.recv(1000)
        flow.wait_for(50)
    assert not failures(flow.replies)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a control plane that needs a key."""
    folder, port = tmp_path_factory.mktemp("guarded"), free_port()
    settings = {"control": f"127.0.0.1:{port}", "data_dir": str(folder), "key": KEY}
    process = Process("modelctl", "controlplane", log=folder / "log", settings=settings)
    until(lambda: "listening" in process.said, what="the control plane")
    yield f"http://127.0.0.1:{port}"
    assert process.stop() == 0


@pytest.mark.parametrize("settings", [{}, {"key": "another-key-of-sixteen"}])
def test_without_the_key_nothing_is_told_and_nothing_done(guarded: str, settings: dict[str, str]) -> None:
    for line in ("status", "backend add named http://127.0.0.1:1", "rollback"):
        one_error(modelctl(guarded, *line.split(), **settings), 4, says="needs its key")
    assert modelctl(guarded, "backend", "list", "-o", "name", key=KEY).done().out == ""


SETTINGS: tuple[tuple[str, dict[str, str], str], ...] = (
    ("--listen nowhere", {}, "--listen: 'nowhere' is not HOST:PORT"),
    ("--listen 127.0.0.1:99999", {}, "--listen: '127.0.0.1:99999'"),
    ("--workers 0", {}, "--workers: 0 is out of range"),
    ("--workers two", {}, "--workers: 'two' is not a whole number"),
    ("--database mysql://h/d", {}, "--database: it must start with"),
    ("--control 0.0.0.0:0", {}, "there is no key"),
    ("", {"colour": "red"}, "MODELCTL_COLOUR: no such setting"),
    ("", {"drain_timeout": "soon"}, "MODELCTL_DRAIN_TIMEOUT: 'soon' is not a number of seconds"),
    ("", {"max_body_bytes": "-1"}, "MODELCTL_MAX_BODY_BYTES: '-1' is not a whole number"),
    ("", {"trusted_proxies": "everybody"}, "MODELCTL_TRUSTED_PROXIES: 'everybody'"),
    ("", {"key": "short"}, "a key has 16 to 256"),
)


@pytest.mark.parametrize(("options", "settings", "says"), SETTINGS)
def test_a_wrong_setting_is_said_before_anything_starts(
    tmp_path: Path, options: str, *, settings: dict[str, str], says: str
) -> None:
    data = tmp_path / "data"
    free = {"listen": "127.0.0.1:0", "control": "127.0.0.1:0", "data_dir": str(data)}
    ran = modelctl("", "serve", *options.split(), **(free | settings))
    one_error(ran, 2, says=says)
    assert not data.exists()


def test_all_wrong_settings_are_said_at_once(tmp_path: Path) -> None:
    process = Process(
        "modelctl.supervisor",
        log=tmp_path / "log",
        settings={"listen": "nowhere", "workers": "0", "colour": "red", "data_dir": str(tmp_path / "data")},
    )
    assert process.process.wait(20) == 2
    assert [line.split(": ")[1] for line in process.said.splitlines()] == [
        "MODELCTL_LISTEN",
        "MODELCTL_WORKERS",
        "MODELCTL_COLOUR",
    ]
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("taken", ["listen", "control"])
def test_an_address_in_use_is_said_and_nothing_is_left_running(tmp_path: Path, taken: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = {"listen": "127.0.0.1:0", "control": "127.0.0.1:0", "data_dir": str(tmp_path / "data")}
        settings[taken] = f"127.0.0.1:{other.getsockname()[1]}"
        process = Process("modelctl.supervisor", log=tmp_path / "log", settings=settings)
        assert process.process.wait(20) == 2
    assert f"--{taken} {settings[taken]}: Address already in use" in process.said
    assert process.said.count("\n") == 1
