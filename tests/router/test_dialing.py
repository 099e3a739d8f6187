"""Where connections go: to the checked address of a name and nowhere else. And what is never connected to."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelctl import evidence
from modelctl.endpoint import Endpoint, Reach, denied, parse_endpoint, reach_of
from modelctl.router.dial import Address, Dialer, Dialers, failure_of, resolve
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


def dialer(*addresses: str, reach: Reach = Reach(), said: list[str] | None = None) -> Dialer:  # noqa: B008  (a frozen value)
    """One for a name that stands for these addresses, and only the first time it is asked: a second look must not be needed."""
    asked: list[str] = []

    async def find(host: str, port: int) -> list[Address]:
        assert host not in asked
        asked.append(host)
        families = (socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses)
        return [(family, (address, port)) for family, address in zip(families, addresses, strict=True)]

    backend = Backend(name="model", endpoints=("http://model.internal:80",))
    report: Callable[[str, str], None] = lambda event, text: said.append(text) if said is not None else None  # noqa: E731
    return Dialers(reach, find=find, report=report).dialer(backend)


class Peer(asyncio.Protocol):
    """Notes who is at the other end, and leaves."""

    address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.address = transport.get_extra_info("peername")[0]
        transport.close()


def opened(dialing: Dialer, url: str) -> str:
    """The address that was connected to. Raises OSError."""

    async def run() -> str:
        peer = await dialing.open(parse_endpoint(url), Peer)
        assert isinstance(peer, Peer)
        return peer.address

    return asyncio.run(run())


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(listener: socket.socket) -> None:
    assert opened(dialer("127.0.0.1"), f"http://model.internal:{port_of(listener)}") == "127.0.0.1"


@pytest.mark.parametrize("address", [*NEVER, *SPELLED])
def test_a_name_that_stands_for_a_denied_address_is_not_connected_to(listener: socket.socket, address: str) -> None:
    said: list[str] = []
    with pytest.raises(PermissionError, match="a model server never listens there") as refused:
        opened(dialer(address, said=said), f"http://model.internal:{port_of(listener)}")
    assert failure_of(refused.value) == evidence.CONNECT
    assert len(said) == 1
    assert "model at http://model.internal" in said[0]


def test_denied_addresses_among_others_are_left_out(listener: socket.socket) -> None:
    assert opened(dialer("169.254.169.254", "0.0.0.0", "127.0.0.1"), f"http://m:{port_of(listener)}") == "127.0.0.1"


def test_the_next_address_is_tried_when_one_does_not_answer(listener: socket.socket) -> None:
    assert opened(dialer("127.0.0.9", "127.0.0.1"), f"http://m:{port_of(listener)}") == "127.0.0.1"


def test_a_reason_is_reported_once_until_it_changes(listener: socket.socket) -> None:
    said: list[str] = []
    dialing = Dialers(reach_of(["10.0.0.0/8"]), report=lambda event, text: said.append(text)).dialer(
        Backend(name="model", endpoints=("http://127.0.0.1:1",))
    )
    for _ in range(3):
        with pytest.raises(PermissionError):
            opened(dialing, "http://127.0.0.1:1")
    assert len(said) == 1


def test_a_name_without_an_address_is_a_failed_connection() -> None:
    with pytest.raises(OSError, match="no address"):
        opened(dialer(), "http://model.internal:1")


def test_the_systems_names_are_known() -> None:
    assert (socket.AF_INET, ("127.0.0.1", 80)) in asyncio.run(resolve("localhost", 80))


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
        opened(dialer(reach=reach_of(("10.0.0.0/8",))), "unix:/run/m")


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
