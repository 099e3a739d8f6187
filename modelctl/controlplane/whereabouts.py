"""Whether a new backend is where backends may be: the routers' rules, applied when it is written down.

The routers check each address again right before they connect; here whoever registers a backend is told at once.
"""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from modelctl.endpoint import Endpoint, Reach, parse_endpoint
from modelctl.errors import InvalidInput

RESOLVE_SECONDS = 2.0


async def check_reach(urls: Iterable[str], reach: Reach) -> None:
    """Raises InvalidInput when one of the endpoints is, or its name stands for, what must not be reached.

    A name that cannot be resolved here passes: it may be one that only the routers know.
    """
    for url in urls:
        endpoint = parse_endpoint(url)
        faults = [fault for fault in await _faults(endpoint, reach) if fault]
        if faults:
            raise InvalidInput(f"the endpoint {endpoint} must not be reached: {faults[0]}")


async def _faults(endpoint: Endpoint, reach: Reach) -> list[str]:
    if endpoint.socket:
        return [reach.socket_fault(endpoint.socket)]
    return [reach.fault(ip_address(address)) for address in await _addresses(endpoint)]


async def _addresses(endpoint: Endpoint) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            found = await loop.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError):
        return []
    return [str(address[0]) for _, _, _, _, address in found]
