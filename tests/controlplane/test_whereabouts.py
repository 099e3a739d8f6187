"""Backends are registered only where they may be reached."""

from collections.abc import Callable

import httpx
import pytest
from sqlalchemy import Engine
from starlette.applications import Starlette

from modelctl.controlplane.api.app import create_app
from modelctl.settings import Settings

Serve = Callable[[Starlette], str]


def registered(api: httpx.Client, *urls: str) -> httpx.Response:
    return api.post("/v1/backends", json={"name": "model", "endpoints": urls})


@pytest.mark.parametrize(
    ("networks", "urls", "status"),
    [
        ((), ("http://127.0.0.1:8000", "http://localhost:8000", "unix:/run/m.sock"), 201),
        (("127.0.0.0/8", "::1/128"), ("http://127.0.0.1:8000", "http://localhost:8000"), 201),
        (("unix",), ("unix:/run/m.sock",), 201),
        (("10.0.0.0/8",), ("http://10.0.0.1:8000", "http://127.0.0.1:8000"), 422),
        (("10.0.0.0/8",), ("http://localhost:8000",), 422),
        (("10.0.0.0/8",), ("unix:/run/m.sock",), 422),
        (("unix",), ("http://127.0.0.1:8000",), 422),
        (("10.0.0.0/8",), ("http://model.invalid:8000",), 201),
    ],
)
def test_an_endpoint_must_be_in_a_network_that_is_named(
    lite: Engine, serve: Serve, *, networks: tuple[str, ...], urls: tuple[str, ...], status: int
) -> None:
    with httpx.Client(base_url=serve(create_app(lite, Settings(backend_networks=networks))), timeout=30) as api:
        answer = registered(api, *urls)
        assert answer.status_code == status, answer.text
        if status != 201:
            assert "MODELCTL_BACKEND_NETWORKS" in answer.json()["detail"]
            assert api.get("/v1/backends").json()["items"] == []


def test_a_change_must_stay_in_the_networks_too(lite: Engine, serve: Serve) -> None:
    settings = Settings(backend_networks=("10.0.0.0/8",))
    with httpx.Client(base_url=serve(create_app(lite, settings)), timeout=30) as api:
        assert registered(api, "http://10.0.0.1:8000").status_code == 201
        assert api.patch("/v1/backends/model", json={"max_inflight": 7}).status_code == 200
        refused = api.patch("/v1/backends/model", json={"endpoints": ["http://127.0.0.1:8000"]})
        assert refused.status_code == 422
        assert api.get("/v1/backends/model").json()["endpoints"] == ["http://10.0.0.1:8000"]
