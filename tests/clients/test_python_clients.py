"""httpx, requests and aiohttp through the router, with the servers of Starlette, aiohttp and the standard library behind it."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from modelctl.evidence import CLIENT_GONE, Served
from tests.clients.agents import Agent
from tests.clients.conftest import GIB
from tests.clients.model_app import PIECE, ZIPPED, digest, event, pattern, streams
from tests.router.process import RouterProcess, eventually

MIB = 1 << 20
LARGE = 64 * MIB


def pieces(size: int) -> Iterator[bytes]:
    """A body of unknown length."""
    for start in range(0, size, PIECE):
        yield pattern(min(PIECE, size - start), start=start)


def file_of(folder: Path, size: int) -> Path:
    path = folder / "upload"
    with path.open("wb") as file:
        file.writelines(pieces(size))
    return path


def hash_of(body: Iterator[bytes]) -> tuple[int, str]:
    whole, size = hashlib.sha256(), 0
    for piece in body:
        whole.update(piece)
        size += len(piece)
    return size, whole.hexdigest()


def test_a_hundred_small_requests_go_over_one_connection(agent: Agent) -> None:
    for number in range(100):
        body = json.dumps({"number": number, "text": "é" * number}).encode()
        got = agent.ask("POST", f"/v1/models/m:predict?n={number}", body)
        assert (got.status, got.body, got.one("x-framing"), got.one("modelctl-arm")) == (200, body, "length", "uvicorn")
        assert not [value for name, value in got.fields if name == "connection"]


def test_requests_at_once_are_all_answered(agent: Agent) -> None:
    paths = ["/slow/0.05", *(f"/body/{size}" for size in range(1, 60))]
    got = agent.ask_many(paths)
    assert [one.status for one in got] == [200] * 60
    assert [one.body for one in got[1:]] == [pattern(size) for size in range(1, 60)]


def check_upload(agent: Agent, size: int, folder: Path) -> None:
    with file_of(folder, size).open("rb") as file:
        known = json.loads(agent.ask("POST", "/digest", file).body)
    chunked = json.loads(agent.ask("POST", "/digest", pieces(size)).body)
    assert known == chunked == {"size": size, "sha256": digest(size), "expect": None}


def check_download(agent: Agent, size: int) -> None:
    expected = (size, digest(size))
    for path in (f"/body/{size}", f"/body/{size}?chunked=1"):
        with closing(agent.read(path)) as body:
            assert hash_of(body) == expected


def test_large_bodies_go_up_with_a_length_and_in_chunks(agent: Agent, tmp_path: Path) -> None:
    check_upload(agent, LARGE, tmp_path)


def test_large_bodies_come_down_with_a_length_and_in_chunks(agent: Agent) -> None:
    check_download(agent, LARGE)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gibibyte_goes_up(agent: Agent, tmp_path: Path) -> None:
    check_upload(agent, GIB, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_gibibyte_comes_down(agent: Agent) -> None:
    check_download(agent, GIB)


def test_a_body_comes_back_while_it_goes_up(agent: Agent) -> None:
    got = agent.ask("POST", "/mirror", pieces(8 * MIB))
    assert (got.status, got.one("transfer-encoding")) == (200, "chunked")
    assert got.body == pattern(8 * MIB)


def test_head_has_fields_and_no_body(agent: Agent) -> None:
    for _ in range(3):
        got = agent.ask("HEAD", "/body/1000")
        assert (got.status, got.body, got.one("content-length")) == (200, b"", "1000")
    assert agent.ask("GET", "/body/1000").body == pattern(1_000)


@pytest.mark.parametrize("status", [301, 303, 307, 308])
def test_a_redirect_is_the_clients_to_follow(agent: Agent, status: int) -> None:
    got = agent.ask("POST", f"/redirect/{status}", b"{}")
    assert (got.status, got.one("location")) == (status, "/landed?far=1")


def test_what_is_zipped_stays_zipped(agent: Agent) -> None:
    got = agent.ask("GET", "/zipped")
    assert (got.one("content-encoding"), got.body) == ("gzip", ZIPPED)


def test_cookies_are_set_one_by_one_and_come_back(agent: Agent) -> None:
    first = agent.ask("GET", "/cookies")
    assert [value.partition(";")[0] for name, value in first.fields if name == "set-cookie"] == ["one=1", 'two="a b"']
    assert json.loads(agent.ask("GET", "/cookies").body) == {"one": "1", "two": "a b"}


def test_events_are_read_to_their_end(agent: Agent) -> None:
    with closing(agent.read("/events?count=100&gap=0")) as body:
        assert b"".join(body) == b"".join(map(event, range(100)))


def test_a_client_that_leaves_ends_the_stream_behind_the_router(agent: Agent, router: RouterProcess) -> None:
    left = len(streams.left_at)
    with closing(agent.read(f"/events?gap=0.01&mine={id(agent)}")) as body:
        assert next(body).startswith(b"id: 0\n")
    assert eventually(lambda: len(streams.left_at) > left)
    target = f"/events?gap=0.01&mine={id(agent)}".encode()
    assert eventually(lambda: [failure_of(one) for one in router.records() if target_of(one) == target] == [CLIENT_GONE])


def target_of(record: object) -> bytes:
    return record.request.target if isinstance(record, Served) else b""


def failure_of(record: object) -> str:
    return record.answer.failure if isinstance(record, Served) else ""


def test_a_client_that_leaves_its_upload_does_no_harm(agent: Agent) -> None:
    def broken() -> Iterator[bytes]:
        yield from pieces(MIB)
        raise InterruptedError("the rest is lost")

    with pytest.raises(OSError, match=r"lost|write request body"):
        agent.ask("POST", "/digest", broken())
    assert agent.ask("POST", "/echo", b"{}").status == 200


@pytest.mark.parametrize("server", ["aiohttp", "plain", "older"])
def test_other_servers_take_both_kinds_of_bodies(agent: Agent, server: str, tmp_path: Path) -> None:
    expected = {"size": MIB, "sha256": digest(MIB)}
    for _ in range(3):
        with file_of(tmp_path, MIB).open("rb") as file:
            assert json.loads(agent.ask("POST", f"/{server}/x", file).body) == expected
        assert json.loads(agent.ask("POST", f"/{server}/x", pieces(MIB)).body) == expected


@pytest.mark.parametrize("server", ["aiohttp", "plain", "older"])
def test_other_servers_are_asked_again_and_again(agent: Agent, server: str) -> None:
    for _ in range(20):
        got = agent.ask("GET", f"/{server}/lines")
        assert (got.status, got.body) == (200, b"".join(b"%d\n" % number for number in range(100)))
