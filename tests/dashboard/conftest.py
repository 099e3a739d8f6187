"""A control plane that really listens, with a route, two rollouts' worth of backends, and somebody who reads its pages."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.controlplane.api.app import unix_microseconds
from modelctl.controlplane.dashboard.mounting import create_control_plane
from modelctl.controlplane.fleet import Fleet
from modelctl.settings import Settings
from modelctl.store.engine import connect
from tests.controlplane.conftest import serve as serve
from tests.controlplane.scene import populate
from tests.dashboard.reader import Reader

KEY = "a-key-of-nineteen-x"


@pytest.fixture
def engine(sqlite_url: str) -> Iterator[Engine]:
    """A store with route fraud, whose baseline is a, and free backends b and c."""
    made = connect(sqlite_url)
    populate(made, "a", "b", "c")
    yield made
    made.dispose()


def plane(engine: Engine, *, key: str = "") -> Starlette:
    """A control plane that waits for no routers, because none will come."""
    return create_control_plane(engine, Settings(key=key), fleet=Fleet(unix_microseconds, young_for=-1))


@pytest.fixture
def url(engine: Engine, serve: Callable[[Starlette], str]) -> str:
    """Where the control plane of a test listens; it has no key."""
    return serve(plane(engine))


@pytest.fixture
def reader(url: str) -> Iterator[Reader]:
    """A browser without JavaScript there."""
    made = Reader(url)
    yield made
    made.client.close()


@pytest.fixture(scope="session")
def artifacts() -> Path:
    """Where what people look at is kept."""
    folder = Path(__file__).resolve().parents[2] / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder
