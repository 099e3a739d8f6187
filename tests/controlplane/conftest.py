"""A store of each kind, and a control plane that really listens."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.controlplane.__main__ import Server
from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.fleet import Fleet
from modelctl.settings import Settings
from modelctl.store.engine import connect


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """A new store; the test runs once on each kind of database."""
    made = connect(database_url)
    yield made
    made.dispose()


@pytest.fixture
def lite(sqlite_url: str) -> Iterator[Engine]:
    """A new SQLite store."""
    made = connect(sqlite_url)
    yield made
    made.dispose()


@pytest.fixture
def serve() -> Iterator[Callable[[Starlette], str]]:
    """Serves an application on a free port until the test ends; gives its URL."""
    with ExitStack() as stack:

        def start(app: Starlette) -> str:
            listener = socket.create_server(("127.0.0.1", 0))
            server = Server(app)
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()

            def stop() -> None:
                server.should_exit = True
                thread.join(timeout=10)
                listener.close()

            stack.callback(stop)
            deadline = time.monotonic() + 10
            while not server.started and time.monotonic() < deadline:
                time.sleep(0.005)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start


@pytest.fixture
def api(lite: Engine, serve: Callable[[Starlette], str]) -> Iterator[httpx.Client]:
    """A client of a control plane on a new SQLite store."""
    with httpx.Client(
        base_url=serve(create_app(lite, Settings(), fleet=Fleet(unix_microseconds, young_for=-1))), timeout=30
    ) as client:
        yield client
