"""Where automation must stop it stops, the status says why, and the command it names is the one that clears it."""

from collections.abc import Iterator, Mapping
from time import sleep
from typing import NamedTuple

import httpx
import pytest

from tests.acceptance.automation import AUTO, load, next_of, rollout_of
from tests.acceptance.load import flowing
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route

# Wide enough to be passed within a second.
GATE = ("--gate", "error_rate:guardrail:margin=30pt", "--min-n", "50", *AUTO)


class Stop(NamedTuple):
    """A canary of 40 and 60 % that is kept from going on, by `options` or by the command `words`."""

    name: str
    options: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    steps: str = "40,60"


STOPS = (
    Stop("step", steps="40!,60"),
    Stop("pause", words=("pause", "pause")),
    Stop("ceiling", ("--ceiling", "40")),
    Stop("freeze", words=("freeze", "add", "--route", "freeze", "--from", "2020-01-01", "--until", "2099-01-01")),
    Stop("approval", ("--approvals", "1"), steps="40"),
)


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("stops")) as program:
        add_backends(program, models)
        yield program


def moved(program: Program, route: str) -> bool:
    """Whether the rollout has left its first step."""
    rollout = rollout_of(program, route)
    return bool(rollout["step"] or rollout["closed_at"])


def approve(program: Program, rollout: int) -> None:
    """What the command does when another person types it."""
    headers = {"modelctl-actor": "a second person"}
    httpx.post(f"{program.url}/v1/rollouts/{rollout}:approve", json={}, headers=headers, trust_env=False).raise_for_status()


@pytest.mark.parametrize("stop", STOPS, ids=[stop.name for stop in STOPS])
def test_automation_waits_and_the_command_in_the_status_lets_it_go_on(program: Program, stop: Stop) -> None:
    path = add_route(program, stop.name)
    program.modelctl("canary", stop.name, "new", "--percent", "40", "--steps", stop.steps, *stop.options, *GATE).done()
    if stop.words:
        program.modelctl(*stop.words).done()
    with flowing(load(program, stop.name, path)) as flow:
        flow.wait_for(100)
        until(lambda: [one["barrier"] for one in next_of(program, stop.name)["blocked_by"]] == [stop.name], what=stop.name)
        sleep(1.5)
        assert not moved(program, stop.name)
        block = next_of(program, stop.name)["blocked_by"][0]
        shown = program.modelctl("status", stop.name).done().out
        assert block["command"] in shown
        assert block["sentence"].split(" (")[0][:40] in " ".join(shown.split())
        words = block["command"].split()[1:]
        if stop.name == "approval":
            own = program.modelctl(*words)
            assert (own.code, "another person runs `modelctl approve" in own.err) == (1, True)
            approve(program, rollout_of(program, stop.name)["id"])
        else:
            program.modelctl(*words).done()
        until(lambda: moved(program, stop.name), what="going on")
        flow.stop()
