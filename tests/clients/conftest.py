"""One router with its own defaults before servers as people run them, and clients as people use them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelctl.traffic import Backend, Route, RoutingTable
from tests.clients.agents import AGENTS, Agent
from tests.clients.model_app import UvicornServer
from tests.clients.servers import AiohttpServer, PlainServer, Server
from tests.router.authority import Authority
from tests.router.conftest import baseline
from tests.router.process import RouterProcess

GIB = 1 << 30


@pytest.fixture(scope="session")
def uvicorn_server() -> Iterator[UvicornServer]:
    """The model server of most tests."""
    server = UvicornServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def router(uvicorn_server: UvicornServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RouterProcess]:
    """It asks uvicorn, and below /aiohttp and /plain the servers of aiohttp and of the standard library."""
    others: dict[str, Server] = {"aiohttp": AiohttpServer(), "plain": PlainServer("HTTP/1.1"), "older": PlainServer("HTTP/1.0")}
    urls = {"uvicorn": uvicorn_server.url, **{name: server.url for name, server in others.items()}}
    table = RoutingTable(
        version=1,
        backends=tuple(Backend(name=name, endpoints=(url,)) for name, url in urls.items()),
        routes=tuple(Route(name=name, path="/" if name == "uvicorn" else f"/{name}", arms=(baseline(name),)) for name in urls),
    )
    router = RouterProcess(tmp_path_factory.mktemp("router"), table, settings={"max_body_bytes": str(2 * GIB)}).ready()
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()
    for server in others.values():
        server.stop()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Issues certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def base(router: RouterProcess) -> str:
    """The one URL that clients know."""
    return f"http://127.0.0.1:{router.port}"


@pytest.fixture(params=sorted(AGENTS))
def agent(request: pytest.FixtureRequest, base: str) -> Iterator[Agent]:
    """Each of Python's clients in turn."""
    agent = AGENTS[request.param](base)
    yield agent
    agent.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RouterProcess]]:
    """Starts routers of a test's own."""
    running: list[RouterProcess] = []

    def starter(table: RoutingTable) -> RouterProcess:
        router = RouterProcess(tmp_path / "data", table)
        running.append(router)
        return router

    yield starter
    for router in running:
        assert router.process.poll() == 0 or router.stop() == 0
        assert "Traceback" not in router.events(), router.events()
