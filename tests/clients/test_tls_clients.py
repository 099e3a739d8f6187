"""The same clients over TLS."""

import asyncio
import json
import ssl
from collections.abc import Iterator
from contextlib import closing

import pytest
from websockets.asyncio.client import connect

from modelctl.traffic import Backend, Route, RoutingTable
from tests.clients.agents import AGENTS, Agent
from tests.clients.model_app import UvicornServer, digest, event, pattern
from tests.clients.programs import curl, node
from tests.clients.test_python_clients import LARGE, check_download, pieces
from tests.clients.test_websockets import BLOCK, WebSocketServer
from tests.router.authority import Authority
from tests.router.conftest import baseline
from tests.router.process import RouterProcess


@pytest.fixture(scope="module")
def ca(authority: Authority) -> str:
    return authority.ca


@pytest.fixture(scope="module")
def live() -> Iterator[WebSocketServer]:
    server = WebSocketServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def secure(
    uvicorn_server: UvicornServer, live: WebSocketServer, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RouterProcess]:
    """A router that speaks TLS with clients."""
    pair = authority.issue()
    urls = {"uvicorn": uvicorn_server.url, "live": f"http://127.0.0.1:{live.port}"}
    table = RoutingTable(
        version=1,
        backends=tuple(Backend(name=name, endpoints=(url,)) for name, url in urls.items()),
        routes=(Route(name="uvicorn", arms=(baseline("uvicorn"),)), Route(name="live", path="/live", arms=(baseline("live"),))),
    )
    settings = {"tls_certificate": pair.certificate, "tls_key": pair.key}
    router = RouterProcess(tmp_path_factory.mktemp("secure"), table, settings=settings)
    yield router
    assert router.stop() == 0
    assert "Traceback" not in router.events(), router.events()


@pytest.fixture
def base(secure: RouterProcess) -> str:
    return f"https://127.0.0.1:{secure.port}"


@pytest.fixture(params=sorted(AGENTS))
def agent(request: pytest.FixtureRequest, base: str, ca: str) -> Iterator[Agent]:
    """Each of Python's clients in turn."""
    agent = AGENTS[request.param](base, ca)
    yield agent
    agent.close()


def test_small_requests_and_many_at_once(agent: Agent) -> None:
    for number in range(100):
        body = json.dumps({"number": number}).encode()
        assert agent.ask("POST", "/echo", body).body == body
    assert [got.body for got in agent.ask_many([f"/body/{size}" for size in range(40)])] == [pattern(size) for size in range(40)]


def test_large_bodies_pass_both_ways(agent: Agent) -> None:
    assert json.loads(agent.ask("POST", "/digest", pieces(LARGE)).body)["sha256"] == digest(LARGE)
    check_download(agent, LARGE)


def test_events_and_a_body_that_comes_back_while_it_goes_up(agent: Agent) -> None:
    with closing(agent.read("/events?count=50&gap=0.001")) as body:
        assert b"".join(body) == b"".join(map(event, range(50)))
    assert agent.ask("POST", "/mirror", pieces(4 << 20)).body == pattern(4 << 20)


@pytest.mark.external("curl")
def test_curl(base: str, ca: str) -> None:
    urls = [f"{base}/echo?n={number}" for number in range(20)]
    assert curl("--cacert", ca, "--data", "{}", "--write-out", "%{num_connects}", *urls) == b"{}1" + b"{}0" * 19
    assert curl("--cacert", ca, "--http1.0", f"{base}/body/100000?chunked=1") == pattern(100_000)
    assert curl("--cacert", ca, f"{base}/body/{LARGE}") == pattern(LARGE)


@pytest.mark.external("node")
def test_fetch(base: str, ca: str) -> None:
    script = "const a = await fetch(argv[0] + '/body/100000?chunked=1'); process.stdout.write(Buffer.from(await a.arrayBuffer()));"
    assert node(script, base, ca=ca) == pattern(100_000)


def test_websockets(secure: RouterProcess, ca: str) -> None:
    async def talk() -> None:
        context = ssl.create_default_context(cafile=ca)
        async with connect(f"wss://127.0.0.1:{secure.port}/live", ssl=context, max_size=None, proxy=None) as connection:
            for message in ("naïve", BLOCK, b""):
                await connection.send(message)
                assert await connection.recv() == message

    asyncio.run(asyncio.wait_for(talk(), 60))
