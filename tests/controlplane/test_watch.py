"""Events that something changed: at once, once, and until the control plane ends."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import msgspec
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.controlplane.__main__ import Server
from modelctl.controlplane.api.app import create_app, unix_microseconds
from modelctl.controlplane.fleet import Fleet
from modelctl.controlplane.pulse import MOST
from modelctl.settings import Settings

BACKEND = {"name": "fraud-v1", "endpoints": ["http://fraud.test:8000"]}


class Event(msgspec.Struct):
    """One event of the stream."""

    id: str
    kind: str
    data: dict[str, object]


def events(lines: Iterator[str]) -> Iterator[Event]:
    """The events in a stream's lines."""
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "data" in fields:
            yield Event(fields["id"], fields["event"], msgspec.json.decode(fields["data"]))
            fields = {}


@contextmanager
def watching(api: httpx.Client, **headers: str) -> Iterator[Iterator[Event]]:
    """The events from now on."""
    with api.stream("GET", "/v1/watch", headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield events(response.iter_lines())


def test_the_present_state_comes_first_and_then_every_change(api: httpx.Client) -> None:
    with watching(api) as found:
        first = next(found)
        assert first.kind == "change"
        assert first.data["table_version"] == 0
        api.post("/v1/backends", json=BACKEND)
        second = next(found)
    assert second.data["table_version"] == 1
    assert second.data["event"] == 1
    assert second.id != first.id


def test_whoever_knows_the_state_hears_of_the_next_one_alone(api: httpx.Client) -> None:
    with watching(api) as found:
        known = next(found).id
    with ExitStack() as stack:
        found = stack.enter_context(watching(api, **{"last-event-id": known}))
        api.post("/v1/backends", json=BACKEND)
        assert next(found).data["table_version"] == 1


def test_no_more_listen_than_there_is_room_for(lite: Engine) -> None:
    app = create_app(lite, Settings(), fleet=Fleet(unix_microseconds, young_for=-1))
    with _served(app) as (api, _), ExitStack() as stack:
        for _ in range(MOST):
            stack.enter_context(app.state.plane.pulse.listening())
        refused = api.get("/v1/watch")
        assert refused.status_code == 503
        assert "listen already" in refused.json()["detail"]
    assert not app.state.plane.pulse.full


def test_a_stream_ends_when_the_control_plane_does(lite: Engine) -> None:
    app = create_app(lite, Settings(), fleet=Fleet(unix_microseconds, young_for=-1))
    with _served(app) as (api, server), watching(api) as found:
        next(found)
        server.should_exit = True
        began = time.monotonic()
        assert list(found) == []
        assert time.monotonic() - began < 20


@pytest.mark.parametrize("path", ["/v1/watch"])
def test_a_stream_is_never_kept_by_anyone_between(api: httpx.Client, path: str) -> None:
    with api.stream("GET", path) as response:
        assert response.headers["cache-control"] == "no-store"


@contextmanager
def _served(app: Starlette) -> Iterator[tuple[httpx.Client, Server]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
        yield client, server
    server.should_exit = True
    thread.join(timeout=20)
    assert not thread.is_alive()
    listener.close()
