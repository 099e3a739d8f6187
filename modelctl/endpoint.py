"""Where a backend listens: one URL, checked when it is written down.

The rules follow the server-side request forgery advisories of gateways like this one (GHSA-h7x2-h6g9-p789): only http and
https, no credentials, addresses only in their canonical spelling, never a link-local or metadata address.
"""

import ipaddress
import re
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from modelctl.errors import InvalidInput

_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*", re.IGNORECASE)
_LOOKS_NUMERIC = re.compile(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*", re.IGNORECASE)
_PATH = re.compile(r"[!-~]*")
_METADATA = ipaddress.ip_address("fd00:ec2::254")
_DEFAULT_PORT = {"http": 80, "https": 443}


class Endpoint(NamedTuple):
    """One address of a backend. `path` is "" or starts with "/" and never ends with one; it replaces the route's prefix."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The value of the Host field for this address (RFC 9110 7.2): without the port when it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORT[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse_endpoint(url: str) -> Endpoint:
    """The endpoint that `url` names. Raises InvalidInput; the message never repeats credentials."""
    parts, port = _split(url)
    if parts.scheme not in _DEFAULT_PORT:
        raise InvalidInput(f"an endpoint starts with http:// or https://, not {parts.scheme or 'nothing'!r}: http://127.0.0.1:8001")
    if "@" in parts.netloc:
        raise InvalidInput("an endpoint must not carry a user name or password: remove what stands before the @")
    if parts.query or parts.fragment or "?" in url or "#" in url:
        raise InvalidInput("an endpoint has no query and no fragment: remove what stands behind ? or #")
    if not _PATH.fullmatch(parts.path) or "//" in parts.path or "/." in parts.path:
        raise InvalidInput(f"the path {parts.path!r} of an endpoint may hold visible ASCII only, and no '//' or dot segments")
    host = _checked_host(parts.hostname or "")
    return Endpoint(parts.scheme, host, _DEFAULT_PORT[parts.scheme] if port is None else port, parts.path.rstrip("/"))


def _split(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidInput(f"an endpoint is a URL such as http://127.0.0.1:8001; this one is not: {error}") from None
    if port == 0:
        raise InvalidInput("an endpoint cannot have port 0: name the port the model server listens on")
    return parts, port


def _checked_host(host: str) -> str:
    bare = host.rstrip(".")
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        if not _HOST.fullmatch(bare) or _LOOKS_NUMERIC.fullmatch(bare):
            raise InvalidInput(f"{host!r} is neither a host name nor an IP address in its usual spelling") from None
        return host.lower()
    mapped = getattr(address, "ipv4_mapped", None) or address
    if mapped.is_link_local or mapped.is_multicast or mapped.is_unspecified or mapped == _METADATA:
        raise InvalidInput(
            f"{host} is a link-local, metadata, multicast or unspecified address: a model server never listens there"
        )
    return str(address)
