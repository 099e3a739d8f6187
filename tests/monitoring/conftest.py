"""A canary with copies under way on two workers."""

from collections.abc import Iterator, Mapping

import pytest

from tests.acceptance.conftest import models
from tests.acceptance.program import Program, running
from tests.monitoring.scraping import send

__all__ = ["models"]


def prepare(program: Program, models: Mapping[str, str]) -> None:
    """A route with a breaker, its baseline and a candidate."""
    for name in ("old", "new"):
        program.modelctl("backend", "add", name, models[name]).done()
    program.modelctl("route", "add", "fraud", "--path", "/fraud", "--backend", "old", "--breaker").done()


@pytest.fixture(scope="session")
def watched(models: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The candidate answers a fifth of the requests and is shown the rest; some have been served, one was refused."""
    with running(tmp_path_factory.mktemp("watched"), workers=2) as program:
        prepare(program, models)
        program.modelctl("canary", "fraud", "new", "--percent", "20", "--shadow-percent", "100", "--manual").done()
        send(program, 40)
        send(program, 1, path="/nowhere")
        yield program
