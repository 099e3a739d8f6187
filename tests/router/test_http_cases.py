"""Bytes that a proxy at the edge must expect, one case at a time: `http_cases/` holds them and what must come of each."""

from collections.abc import Iterator

import pytest

from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.http_cases.case import Case, read_cases
from tests.router.http_cases.judge import judge
from tests.router.http_cases.play import play
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess

CASES = list(read_cases())
LIMITS = {
    "header_timeout": "1",
    "body_timeout": "1",
    "idle_timeout": "1",
    "max_body_bytes": str(8 << 20),
    "trusted_proxies": "127.0.0.2/32",
}


@pytest.fixture(scope="module")
def backend() -> Iterator[ModelServer]:
    """What stands behind the edge."""
    server = ModelServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def edge(backend: ModelServer, closed_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """One router for all cases: it must outlive them."""
    one = Backend(name="one", endpoints=(backend.url,), response_timeout_ms=1_000)
    two = Backend(name="two", endpoints=(f"http://127.0.0.1:{closed_port}", backend.url))
    routes = (Route(name="all", arms=(baseline("one"),)), Route(name="pool", path="/pool", arms=(baseline("two"),)))
    router = RouterProcess(
        tmp_path_factory.mktemp("edge"), RoutingTable(version=1, backends=(one, two), routes=routes), settings=LIMITS
    )
    yield router.ready()
    assert router.process.poll() is None
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_comes_of_it_is_what_the_rules_say(edge: RouterProcess, backend: ModelServer, case: Case) -> None:
    faults = judge(case, play(case, edge.port, backend))
    if faults:
        pytest.fail(f"{case.rule.says} ({case.rule.source})\n" + "\n".join(faults), pytrace=False)


def test_what_nobody_else_refuses_is_refused_for_a_reason() -> None:
    assert {case.id for case in CASES if case.rule.expect == "refused" and not case.refused_by and not case.rule.policy} == set()


def test_every_case_has_a_name_of_its_own_and_verdicts_that_can_be_read() -> None:
    assert len({case.id for case in CASES}) == len(CASES)
    assert {case.id for case in CASES if not set(case.refused_by) <= set("nhce")} == set()
