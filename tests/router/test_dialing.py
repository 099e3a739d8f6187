"""Where connections go: to the checked address of a name and nowhere else. And what is never connected to."""

import asyncio
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl import evidence
from modelctl.endpoint import ANYWHERE, Endpoint, Reach, denied, parse_endpoint, reach_of
from modelctl.router.clock import Clock
from modelctl.router.dial import Dialers, failure_of
from modelctl.router.target import Target
from modelctl.traffic import Backend, Route, RoutingTable
from tests.router.conftest import baseline
from tests.router.model_server import ModelServer
from tests.router.process import RouterProcess, eventually
from tests.router.wire import get

Start = Callable[..., RouterProcess]
NEVER = ("169.254.169.254", "fe80::1%lo", "fd00:ec2::254", "100.100.100.200", "224.0.0.1", "ff02::1", "0.0.0.0", "::")
SPELLED = ("::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:0.0.0.0")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where connections that are made arrive."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


def opened(url: str, *addresses: str, reach: Reach = ANYWHERE, said: list[str] | None = None, times: int = 1) -> str:
    """The address that was connected to for a host name that stands for `addresses`. Raises OSError."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    async def run() -> str:
        backend = Backend(name="model", endpoints=(url,))
        dialers = Dialers(reach, resolve=resolve, report=lambda event, text: said.append(text) if said is not None else None)
        (pool,) = Target(backend, Clock(0.0), dialers=dialers).pools
        for _ in range(times - 1):
            with suppress(OSError):
                await pool.open(pool, 5.0)
        upstream = await pool.open(pool, 5.0)
        upstream.close()
        await asyncio.sleep(0)
        return upstream.address

    return asyncio.run(run())


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_the_checked_address_is_connected_to(listener: socket.socket) -> None:
    assert opened(f"http://model.internal:{port_of(listener)}", "127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize("address", [*NEVER, *SPELLED])
def test_a_name_that_stands_for_a_denied_address_is_not_connected_to(listener: socket.socket, address: str) -> None:
    said: list[str] = []
    with pytest.raises(PermissionError, match="a model server never listens there") as refused:
        opened(f"http://model.internal:{port_of(listener)}", address, said=said)
    assert failure_of(refused.value) == evidence.CONNECT
    assert len(said) == 1
    assert "model at http://model.internal" in said[0]


def test_denied_addresses_among_others_are_left_out(listener: socket.socket) -> None:
    url = f"http://m:{port_of(listener)}"
    assert opened(url, "169.254.169.254", "0.0.0.0", "127.0.0.1") == "127.0.0.1"


def test_a_reason_is_reported_once_until_it_changes() -> None:
    said: list[str] = []
    with pytest.raises(PermissionError):
        opened("http://127.0.0.1:1", reach=reach_of(["10.0.0.0/8"]), said=said, times=3)
    assert len(said) == 1


# -- the allow-list


@pytest.mark.parametrize(
    ("words", "address", "allowed"),
    [
        ((), "192.0.2.1", True),
        (("127.0.0.0/8",), "127.0.0.1", True),
        (("127.0.0.0/8",), "::ffff:127.0.0.1", True),
        (("10.0.0.0/8",), "127.0.0.1", False),
        (("unix",), "127.0.0.1", False),
        (("::1/128",), "::1", True),
        (("::1/128",), "127.0.0.1", False),
        (("0.0.0.0/0", "::/0"), "169.254.169.254", False),
        (("169.254.0.0/16",), "169.254.1.1", False),
        (("0.0.0.0/0",), "2001:db8::1", False),
    ],
)
def test_an_allow_list_names_the_only_networks_and_never_a_denied_address(
    words: tuple[str, ...], address: str, *, allowed: bool
) -> None:
    assert (reach_of(words).fault(ip_address(address)) == "") is allowed


@given(st.ip_addresses())
def test_without_an_allow_list_everything_that_is_not_denied_may_be_reached(address: object) -> None:
    found = ip_address(str(address))
    assert (Reach().fault(found) == "") is not denied(found)


def test_unix_sockets_have_a_word_in_the_allow_list() -> None:
    assert reach_of(()).socket_fault("/run/m") == ""
    assert reach_of(("10.0.0.0/8", "unix")).socket_fault("/run/m") == ""
    assert "/run/m" in reach_of(("10.0.0.0/8",)).socket_fault("/run/m")
    with pytest.raises(PermissionError):
        opened("unix:/run/m", reach=reach_of(("10.0.0.0/8",)))


# -- in a router


def only(*urls: str) -> RoutingTable:
    backend = Backend(name="old", endpoints=urls)
    return RoutingTable(version=1, backends=(backend,), routes=(Route(name="all", arms=(baseline("old"),)),))


def test_a_router_connects_to_what_the_setting_allows(start: Start, old: ModelServer) -> None:
    assert start(only(old.url), backend_networks="127.0.0.0/8").ask(get("/")).status == 200


def test_a_router_does_not_connect_to_anything_else(start: Start, old: ModelServer) -> None:
    router = start(only(old.url), backend_networks="10.0.0.0/8,unix")
    assert router.ask(get("/")).one(b"modelctl-error") == b"connect-failed"
    assert eventually(lambda: "MODELCTL_BACKEND_NETWORKS" in router.events())
    assert old.arrivals == []


def test_names_are_checked_too(start: Start, old: ModelServer) -> None:
    url = f"http://localhost:{old.port}"
    assert start(only(url), backend_networks="127.0.0.0/8").ask(get("/")).status == 200


def test_names_that_stand_for_other_networks_are_refused(start: Start, old: ModelServer) -> None:
    url = f"http://localhost:{old.port}"
    assert start(only(url), backend_networks="10.0.0.0/8").ask(get("/")).one(b"modelctl-error") == b"connect-failed"
    assert old.arrivals == []


def test_an_endpoint_is_where_its_url_says() -> None:
    assert parse_endpoint("unix:/run/m.sock") == Endpoint("unix", "localhost", 80, "", "/run/m.sock")
