"""Whose address a request is from, as far as it can be believed, and how much of an address is one client."""

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

_MAX_HOPS = 32  # of one X-Forwarded-For line: what a request may cost is bounded
_MAX_ADDRESS = 80  # characters; longer ones are none
_NAME = b"x-forwarded-for"


@lru_cache(4_096)
def parsed(text: str) -> IPv4Address | IPv6Address | None:
    """The address in `text`, which may have a port; an IPv4 address in IPv6 clothes (RFC 4291 2.5.5.2) is one."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def plain_address(peer: str) -> str:
    """An IPv6 address as others know it: without the zone, which means something on this machine only, and IPv4 where it stands for
    that (RFC 4291 2.5.5.2).
    """
    address = IPv6Address(peer.partition("%")[0])
    return str(address.ipv4_mapped or address)


@lru_cache(4_096)
def one_client(address: str) -> str:
    """The part of `address` that is one client: all of IPv4, the first 64 bits of IPv6 (who has one of those has them all)."""
    found = parsed(address)
    if isinstance(found, IPv6Address):
        return str(IPv6Address(int(found) >> 64 << 64)) + "/64"
    return address if found is None else str(found)


def believed(peer: str, lines: list[bytes], *, trusts: Callable[[str], bool]) -> str:
    """The right-most address that no trusted proxy vouches for; `peer` is trusted, and `lines` are what it forwards.

    X-Forwarded-For is read from the right: each trusted proxy has added the address that it was asked by. What is not an address
    ends the walk at the proxy that wrote it. When all are trusted it is the first of them.
    """
    last = peer
    for line in reversed(lines):
        name, _, value = line.partition(b":")
        if name.lower() != _NAME:
            continue
        for hop in reversed(value.rsplit(b",", _MAX_HOPS)):
            address = parsed(hop.decode("latin-1").strip()) if len(hop) <= _MAX_ADDRESS else None
            if address is None:
                return last
            last = str(address)
            if not trusts(last):
                return last
    return last
