"""A candidate that is slow, or gone: its clients notice nothing, and every request it should have seen is accounted for."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.acceptance.ledger import Ledger
from tests.acceptance.load import Ask, Load, Reply, failures, wrong
from tests.acceptance.program import Program, running, until
from tests.acceptance.scene import add_backends, add_route
from tests.ports import free_port

REQUESTS = 6_000  # more than two workers let wait for a candidate that takes one at a time


@pytest.fixture(scope="module")
def program(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with running(tmp_path_factory.mktemp("funnel"), workers=2) as program:
        add_backends(program, {**models, "gone": f"http://127.0.0.1:{free_port()}"})
        yield program


def send(program: Program, prefix: str, path: str, *, wait: int = 0) -> list[Reply]:
    """The answers to REQUESTS requests; all must be good."""
    asks = [Ask(f"{prefix}-{number}", b'{"x":%d}' % number, path, wait=wait) for number in range(REQUESTS)]
    replies = Load(program.port, asks, connections=200).run()
    assert not failures(replies)
    assert wrong(replies) == []
    assert {reply.arm for reply in replies} == {"old"}
    return replies


def funnel_of(program: Program, route: str) -> dict[str, Any]:
    """The funnel of the route's only candidate."""
    (funnel,) = program.modelctl("report", route, "-o", "json").done().json["funnels"]
    return dict(funnel)


def test_what_a_slow_candidate_is_spared_is_counted_and_the_rest_is_paired(program: Program) -> None:
    ledger = Ledger(program.database_url)
    path = add_route(program, "slow")
    program.modelctl("shadow", "slow", "new", "--max-inflight", "1").done()
    ledger.recorded(send(program, "slow", path, wait=5), "slow")
    skipped = funnel_of(program, "slow")["skipped"]["inflight"]
    assert 0 < skipped < REQUESTS
    until(lambda: ledger.one("SELECT count(*) FROM pair WHERE route = 'slow'") >= REQUESTS - skipped, what="all pairs")
    ledger.conserved()
    funnel = funnel_of(program, "slow")
    assert funnel["skipped"] == {"inflight": skipped}
    assert funnel["eligible"] == funnel["sampled"] == REQUESTS
    assert {funnel[stage] for stage in ("sent", "answered", "parsed", "paired")} == {REQUESTS - skipped}
    assert ledger.one("SELECT count(*) FROM pair WHERE route = 'slow'") == REQUESTS - skipped
    assert ledger.one("SELECT count(*) FROM pair WHERE route = 'slow' AND candidate_outcome <> 'ok'") == 0


def test_a_candidate_that_is_gone_fails_in_every_pair_and_in_no_answer(program: Program) -> None:
    ledger = Ledger(program.database_url)
    path = add_route(program, "lost")
    program.modelctl("shadow", "lost", "gone", "--max-inflight", "1000").done()
    ledger.recorded(send(program, "lost", path), "lost")
    until(lambda: ledger.one("SELECT count(*) FROM pair WHERE route = 'lost'") >= REQUESTS, what="all pairs")
    ledger.conserved()
    funnel = funnel_of(program, "lost")
    assert funnel["eligible"] == funnel["sent"] == funnel["paired"] == REQUESTS
    assert funnel["answered"] == funnel["parsed"] == 0
    rows = ledger.rows("SELECT DISTINCT baseline_outcome, candidate_outcome, candidate_failure FROM pair WHERE route = 'lost'")
    assert {tuple(row) for row in rows} == {("ok", "backend_error", "connect")}
    assert program.modelctl("report", "lost", "-o", "json").done().json["verdict"]["word"] == "rollback"
    told = program.status()["evidence"]
    (counted,) = ledger.rows("SELECT sum(offered) AS offered, sum(accepted) AS accepted, sum(committed) AS committed FROM spool")
    assert (told["offered"], told["accepted"], told["committed"]) == tuple(map(int, counted))
