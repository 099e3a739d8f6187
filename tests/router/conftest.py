"""One router worker and two model servers for most tests; tests with their own needs start their own."""

import socket
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from modelctl.traffic import Arm, Backend, Capture, Role, Route, RoutingTable
from tests.router.authority import Authority
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess, Table

SHORT = {
    "header_timeout": "1",
    "idle_timeout": "3",
    "body_timeout": "1",
    "drain_timeout": "3",
    "max_fields": "64",
    "max_body_bytes": str(64 * 1024 * 1024),
    "trusted_proxies": "127.0.0.2/32",
}
_names = count(1)


def baseline(backend: str, answers: int = 10_000) -> Arm:
    """The arm that stands."""
    return Arm(backend=backend, role=Role.BASELINE, answers=answers)


def candidate(backend: str, *, answers: int = 0, shown: int = 0, max_inflight: int = 64) -> Arm:
    """An arm on trial."""
    return Arm(backend=backend, role=Role.CANDIDATE, answers=answers, shown=shown, max_inflight=max_inflight)


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets while the tests run."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def _backends(old: ModelServer, new: ModelServer, closed_port: int) -> tuple[Backend, ...]:
    return (
        Backend(name="old", endpoints=(old.url,), response_timeout_ms=3_000),
        Backend(name="new", endpoints=(new.url,), response_timeout_ms=3_000),
        Backend(name="impatient", endpoints=(old.url,), response_timeout_ms=300),
        Backend(name="deep", endpoints=(f"{old.url}/models/m",)),
        Backend(name="dead", endpoints=(f"http://127.0.0.1:{closed_port}",)),
        Backend(name="half-dead", endpoints=(f"http://127.0.0.1:{closed_port}", old.url)),
        Backend(name="narrow", endpoints=(old.url,), max_inflight=1, max_pending=1),
        Backend(name="queued", endpoints=(old.url,), max_inflight=1, max_pending=5, response_timeout_ms=300),
        Backend(name="impatient-new", endpoints=(new.url,), response_timeout_ms=300),
    )


def _routes() -> tuple[Route, ...]:
    whole = (baseline("old"),)
    small = Capture(request_bytes=10, answer_bytes=8, shadow_bytes=1_000)
    return (
        Route(name="all", arms=whole),
        Route(name="impatient", path="/impatient", arms=(baseline("impatient"),)),
        Route(name="deep", path="/deep", arms=(baseline("deep"),)),
        Route(name="dead", path="/dead", arms=(baseline("dead"),)),
        Route(name="half-dead", path="/half-dead", arms=(baseline("half-dead"),)),
        Route(name="narrow", path="/narrow", arms=(baseline("narrow"),)),
        Route(name="queued", path="/queued", arms=(baseline("queued"),)),
        Route(name="quiet", path="/quiet", arms=whole, capture=Capture(arm_header=False)),
        Route(name="small", path="/small", arms=(baseline("old"), candidate("new", shown=10_000)), capture=small),
        Route(name="shown", path="/shown", arms=(baseline("old"), candidate("new", shown=10_000)), rollout=7, stage=9),
        Route(name="shown-impatient", path="/shown-impatient", arms=(baseline("old"), candidate("impatient-new", shown=10_000))),
        Route(name="shown-dead", path="/shown-dead", arms=(baseline("old"), candidate("dead", shown=10_000))),
        Route(name="shown-narrow", path="/shown-narrow", arms=(baseline("old"), candidate("new", shown=10_000, max_inflight=1))),
        Route(
            name="split",
            path="/split",
            unit="header:x-user",
            arms=(baseline("old", 5_000), candidate("new", answers=5_000)),
            salt="0123456789abcdef" * 2,
            rollout=3,
            stage=4,
        ),
        Route(name="green", path="/green", arms=(baseline("old"), candidate("new")), preview="new", rollout=5, stage=6),
        Route(name="green-deep", path="/green-deep", arms=(baseline("old"), candidate("deep")), preview="deep"),
        Route(name="hosted", host="hosted.example", arms=(baseline("new"),), preview="old"),
        Route(name="nowhere", host="nowhere.example", path="/only", arms=whole),
    )


class Models:
    """The two model servers behind the shared router."""

    def __init__(self) -> None:
        self.old = ModelServer()
        self.new = ModelServer()


@pytest.fixture(scope="session")
def _models() -> Iterator[Models]:
    models = Models()
    yield models
    models.old.stop()
    models.new.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the tests trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def shared_table(_models: Models, closed_port: int) -> RoutingTable:
    """The table of the shared router."""
    return RoutingTable(version=5, backends=_backends(_models.old, _models.new, closed_port), routes=_routes())


@pytest.fixture(scope="session")
def router(shared_table: RoutingTable, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """The shared router, which must outlive every test and never fail."""
    router = RouterProcess(tmp_path_factory.mktemp("router"), shared_table, settings=SHORT)
    yield router
    assert router.process.poll() is None
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()


@pytest.fixture
def old(_models: Models) -> Iterator[ModelServer]:
    """The model server of the baseline. A router must never send it what a strict parser refuses."""
    _models.old.forget()
    yield _models.old
    assert _models.old.faults == []


@pytest.fixture
def new(_models: Models) -> Iterator[ModelServer]:
    """The model server of the candidate."""
    _models.new.forget()
    yield _models.new
    assert _models.new.faults == []


@pytest.fixture
def request_id() -> str:
    """A request id that no other test uses."""
    return f"test-{next(_names)}"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RouterProcess]]:
    """Starts routers of a test's own; ends what is still running."""
    running: list[RouterProcess] = []

    def starter(
        table: Table, *, control: str = "http://127.0.0.1:1", listener: socket.socket | None = None, **settings: str
    ) -> RouterProcess:
        router = RouterProcess(tmp_path / "data", table, control=control, settings=SHORT | settings, listener=listener)
        running.append(router)
        return router

    yield starter
    for router in running:
        if router.process.poll() is None:
            router.kill()
        assert "Traceback" not in router.events(), router.events()
