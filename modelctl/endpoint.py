"""Where a backend listens: one URL, checked when it is written down.

The rules follow the server-side request forgery advisories of gateways like this one (GHSA-h7x2-h6g9-p789): only http and
https, no credentials, addresses only in their canonical spelling, never a link-local or metadata address. What a host name
stands for is known only when it is resolved, so the same rules (`Reach`) are applied again right before each connection.
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from modelctl.errors import InvalidInput

_VISIBLE = re.compile(r"[!-~]*")
_AUTHORITY = re.compile(r"(\[[0-9a-f.]*:[0-9a-f:.]*\]|[^\[\]:]*)(:[0-9]*)?", re.IGNORECASE)
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
_LOOKS_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*")
# Dot segments and separators, in spellings that servers read differently.
_DISPUTED = re.compile(r"//|/\.|\\|%(2e|2f|5c)", re.IGNORECASE)
# Metadata services of clouds that are not link-local: AWS and Google over IPv6, Alibaba, Oracle, Azure.
_METADATA = frozenset(map(ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16")))
# IPv6 addresses that stand for an IPv4 address, and how many bits are behind it: mapped, compatible, 6to4 and NAT64.
_EMBEDDING = tuple(
    (ip_network(net), bits) for net, bits in (("::ffff:0:0/96", 0), ("::/96", 0), ("2002::/16", 80), ("64:ff9b::/96", 0))
)
_DEFAULT_PORT = {"http": 80, "https": 443, "unix": 80}
_SOCKET = re.compile(r"unix:(/[A-Za-z0-9._@+/-]{1,100})")
_DENIED = "a link-local, metadata, multicast or unspecified address: a model server never listens there"
SOCKETS = "unix"  # the word for Unix sockets in a list of networks


class Endpoint(NamedTuple):
    """One address of a backend. `path` is "" or starts with "/" and never ends with one; it replaces the route's prefix.

    `socket` is the path of a Unix socket, or "". An endpoint with one has the scheme `unix`, speaks plain HTTP, and its host and
    port only fill the Host field.
    """

    scheme: str
    host: str
    port: int
    path: str
    socket: str = ""

    @property
    def authority(self) -> str:
        """The value of the Host field for this address (RFC 9110 7.2): without the port when it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.socket:
            return f"unix:{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_endpoint(url: str) -> Endpoint:
    """The endpoint that `url` names. Raises InvalidInput; the message repeats nothing that could be a credential."""
    if url.startswith("unix:"):
        return _socket_endpoint(url)
    parts, port = _split(url)
    if "@" in parts.netloc:
        raise InvalidInput("an endpoint must not carry a user name or password: remove what stands before the @")
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise InvalidInput("an endpoint starts with http:// or https:// and a host, such as http://127.0.0.1:8001, or unix:/PATH")
    if "?" in url or "#" in url:
        raise InvalidInput("an endpoint has no query and no fragment: remove what stands behind ? or #")
    if _DISPUTED.search(parts.path):
        raise InvalidInput("the path of an endpoint may hold no '//', backslashes or dot segments, in no spelling")
    host = _checked_host(parts.hostname or "")
    return Endpoint(parts.scheme, host, _DEFAULT_PORT[parts.scheme] if port is None else port, parts.path.rstrip("/"))


def _socket_endpoint(url: str) -> Endpoint:
    match = _SOCKET.fullmatch(url)
    if match is None or _DISPUTED.search(match[1]) or match[1].endswith("/"):
        raise InvalidInput("an endpoint on a Unix socket is unix: and the socket's absolute path, such as unix:/run/model.sock")
    return Endpoint("unix", "localhost", 80, "", match[1])


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url) if _VISIBLE.fullmatch(url) else None
        port = parts.port if parts else None
    except ValueError:
        parts = None
    if parts is None or not ("@" in parts.netloc or _AUTHORITY.fullmatch(parts.netloc)):
        # Not the parser's words: they repeat what it stumbled over, and that may be half a password.
        raise InvalidInput(
            "an endpoint is a URL of visible ASCII with a port up to 65535, such as http://127.0.0.1:8001; this one is not"
        )
    if port == 0:
        raise InvalidInput("an endpoint cannot have port 0: name the port the model server listens on")
    return parts, port


def _checked_host(host: str) -> str:
    bare = host.removesuffix(".")
    try:
        address = ip_address(bare)
    except ValueError:
        if not _HOST.fullmatch(bare) or _LOOKS_NUMERIC.fullmatch(bare):
            raise InvalidInput(f"{host!r} is neither a host name nor an IP address in its usual spelling") from None
        return host
    if denied(address):
        raise InvalidInput(f"{host} is {_DENIED}")
    return str(address)


def denied(address: IPv4Address | IPv6Address) -> bool:
    """Whether no model server ever listens there: link-local, metadata, multicast, unspecified; in any IPv6 spelling."""
    to = reached(address)
    return to.is_link_local or to.is_multicast or to.is_unspecified or to in _METADATA


def reached(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 address stands for, else the address."""
    for network, bits in _EMBEDDING:
        if address in network:
            return IPv4Address(int(address) >> bits & 0xFFFF_FFFF)
    return address


class Reach(NamedTuple):
    """Where model servers may be: never at a denied address; elsewhere `anywhere`, or only in `networks` and on `sockets`."""

    networks: tuple[IPv4Network | IPv6Network, ...] = ()
    sockets: bool = True
    anywhere: bool = True

    def fault(self, address: IPv4Address | IPv6Address) -> str:
        """Why no connection is made to this address, or "" when one may be."""
        if denied(address):
            return f"{address} is {_DENIED}"
        if self.anywhere or any(one in network for network in self.networks for one in (address, reached(address))):
            return ""
        return f"{address} is in none of the networks of MODELCTL_BACKEND_NETWORKS"

    def socket_fault(self, path: str) -> str:
        """The same for a Unix socket."""
        return "" if self.sockets else f"{path} is a Unix socket, and MODELCTL_BACKEND_NETWORKS does not name {SOCKETS!r}"


ANYWHERE = Reach()


def reach_of(words: Iterable[str]) -> Reach:
    """The reach that networks and the word `unix` describe; without any, everything that is not denied."""
    named = tuple(words)
    networks = tuple(ip_network(word) for word in named if word != SOCKETS)
    return Reach(networks, SOCKETS in named, anywhere=False) if named else ANYWHERE
