"""The fetch of Node.js, as pages and services use it, through the router."""

import json

import pytest

from tests.clients.conftest import GIB
from tests.clients.model_app import digest, event, streams
from tests.clients.programs import node, script
from tests.clients.test_python_clients import LARGE
from tests.router.process import eventually

pytestmark = pytest.mark.external("node")


def check(base: str, size: int) -> None:
    left = len(streams.left_at)
    found = json.loads(node(script("fetch.mjs"), base, str(size)))
    assert found["small"] == list(range(100))
    assert found["many"] == list(range(1, 61))
    assert found["known"] == found["chunked"] == [size, digest(size)]
    assert found["up"] == found["upKnown"] == {"size": size, "sha256": digest(size), "expect": None}
    assert found["redirect"] == [307, "/landed?far=1"]
    assert found["zipped"] == 1_000
    assert (found["head"], found["cookies"]) == ([200, "1000"], 2)
    assert found["events"].encode() == b"".join(map(event, range(50)))
    assert found["first"].startswith("id: 0\n")
    assert found["after"] == "AbortError"
    assert eventually(lambda: len(streams.left_at) == left + 2)


def test_fetch_does_what_it_does_without_a_router(base: str) -> None:
    check(base, LARGE)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_fetch_of_a_gibibyte(base: str) -> None:
    check(base, GIB)
