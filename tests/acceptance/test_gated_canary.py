"""Canaries that conduct themselves through their gates, with the commands a user types; one of them fails."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread

import httpx
import pytest

from tests.acceptance.load import Ask, Load
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route

# Wide margins and few requests: what is tested is the way from the command to the traffic, not how fine it can tell.
GATE = "error_rate:guardrail:margin=30pt"
COURSE = ("--mode", "auto", "--min-n", "200", "--max-n", "200000", "--bake", "1s")


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("gates")) as program:
        add_backends(program, models)
        yield program


@contextmanager
def traffic(program: Program, path: str) -> Iterator[None]:
    """Requests one after the other until the block ends."""
    stopped = Event()

    def send() -> None:
        number = 0
        while not stopped.is_set():
            asks = [Ask(f"{path[1:]}-{number}-{one}", b'{"x":%d}' % one, path) for one in range(200)]
            Load(program.port, asks, connections=4).run()
            number += 1

    thread = Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(30)


def test_an_equal_candidate_is_promoted_through_its_steps_unattended(program: Program) -> None:
    path = add_route(program, "equal")
    refused = program.modelctl("canary", "equal", "new", "--steps", "20,50", "--mode", "auto")
    assert refused.code == 2
    assert "  modelctl canary equal new --steps 20,50 --mode auto --gate error_rate:guardrail:margin=0.5pt --max-n " in refused.err
    hopeless = program.modelctl(
        "canary", "equal", "new", "--percent", "5", "--gate", "error_rate:guardrail:margin=0.5pt", "--max-n", "1000"
    )
    assert hopeless.code == 2
    assert "cannot decide before --max-n at 5 %" in hopeless.err
    program.modelctl("canary", "equal", "new", "--steps", "20,50", "--gate", GATE, *COURSE).done()
    planned = program.modelctl("plan", "equal", "-o", "json").done().json
    assert planned["gates"][0]["needed"] > 0
    shown = program.modelctl("status", "equal").done().out
    for said in ("mode auto", "error_rate:guardrail:margin=30pt", "automation (auto):", "waits for gate:"):
        assert said in shown, shown
    with traffic(program, path):
        program.modelctl("status", "equal", "--wait", "promoted", "--timeout", "50s").done()
    assert program.modelctl("route", "show", "equal", "-o", "json").json["baseline"] == "new"
    events = program.modelctl("history", "equal", "-o", "json").json["items"]
    done = [(event["actor"], event["action"]) for event in reversed(events) if event["action"] in ("advance", "promote")]
    assert done == [("controller", "advance"), ("controller", "promote")]
    decisions = program.modelctl("decision", "list", "equal", "-o", "json").json["items"]
    promoted = next(decision for decision in decisions if decision["kind"] == "promote")
    bundle = str(program.data_dir / "promote.json")
    program.modelctl("decision", "bundle", str(promoted["id"]), "--out", bundle).done()
    program.modelctl("verify", bundle).done()


def test_a_closed_gate_refuses_people_until_they_say_why(program: Program) -> None:
    add_route(program, "closed")
    program.modelctl("canary", "closed", "third", "--steps", "5,50", "--gate", GATE).done()
    refused = program.modelctl("advance", "closed")
    assert refused.code == 1
    assert "modelctl advance closed --force --reason" in refused.err
    program.modelctl("advance", "closed", "--force", "--reason", "a test of the tests").done()
    (event, *_) = program.modelctl("history", "closed", "-o", "json").json["items"]
    assert (event["reason"], bool(event["detail"]["forced"])) == ("a test of the tests", True)
    program.modelctl("complete", "closed").done()


def test_a_candidate_that_fails_is_taken_out_by_itself_and_the_wait_for_it_ends(
    program: Program, models: Mapping[str, str]
) -> None:
    path = add_route(program, "failing")
    httpx.put(f"{models['third']}/mood", content=b"failing", trust_env=False).raise_for_status()
    try:
        with traffic(program, path):
            program.modelctl("canary", "failing", "third", "--percent", "20", "--gate", GATE, *COURSE).done()
            waited = program.modelctl("status", "failing", "--wait", "promoted", "--timeout", "50s")
    finally:
        httpx.put(f"{models['third']}/mood", content=b"well", trust_env=False).raise_for_status()
    assert waited.code == 1
    assert "it is rolled-back, not promoted" in waited.err
    until(lambda: "from the first failure to zero traffic" in program.modelctl("status", "failing").out, what="the time to zero")
