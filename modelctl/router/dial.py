"""Opening a connection to a model server: to an address that may be reached, over the transport its URL names.

A host name is resolved and each of its addresses is checked right before connecting, and the checked address itself is connected
to: what the name stood for when the backend was registered says nothing about now (GHSA-h7x2-h6g9-p789). Where TLS is asked for
there is no way back to plain text.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import cast
from weakref import WeakValueDictionary

from modelctl import evidence
from modelctl.endpoint import Endpoint, Reach
from modelctl.policy import Tls
from modelctl.router.tls import Credentials, Report, client_context
from modelctl.traffic import Backend

LOOK_SECONDS = 1.0  # how often the files of TLS are looked at

Address = tuple[int, tuple[str, int]]  # the family, and the address and port
Resolve = Callable[[str, int], Awaitable[list[Address]]]
Factory = Callable[[], object]


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of `host` in the system's order. Raises OSError."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, (str(address[0]), port)) for family, _, _, _, address in found]


def failure_of(error: BaseException) -> str:
    """Evidence's word for a connection that was not opened."""
    return evidence.TLS if isinstance(error, ssl.SSLError) else evidence.CONNECT


class Dialer:
    """Opens connections to the endpoints of one backend. A reason why that fails is reported when it is a new one."""

    def __init__(self, backend: Backend, reach: Reach, *, credentials: Credentials | None, find: Resolve, report: Report) -> None:
        self._backend = backend
        self._reach = reach
        self._credentials = credentials
        self._find = find
        self._report = report
        self._reasons: dict[Endpoint, str] = {}

    async def open(self, endpoint: Endpoint, factory: Factory) -> object:
        """The protocol that `factory` made, connected. Raises OSError; ssl.SSLError when TLS is what failed."""
        try:
            protocol = await self._open(endpoint, cast("Callable[[], asyncio.Protocol]", factory))
        except OSError as error:
            self._tell(endpoint, error)
            raise
        if self._reasons:
            self._reasons.pop(endpoint, None)
        return protocol

    async def _open(self, endpoint: Endpoint, factory: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        if endpoint.socket:
            if fault := self._reach.socket_fault(endpoint.socket):
                raise PermissionError(fault)
            return (await loop.create_unix_connection(factory, endpoint.socket))[1]
        secure = self._credentials is not None and endpoint.scheme == "https"
        context = self._credentials.context if secure and self._credentials is not None else None
        name = (self._backend.tls.server_name or endpoint.host).removesuffix(".") if secure else None
        failure = OSError(f"{endpoint.host} has no address")
        for family, (address, port) in await self._allowed(endpoint):
            try:
                _, protocol = await loop.create_connection(factory, address, port, family=family, ssl=context, server_hostname=name)
            except (ConnectionResetError, ConnectionAbortedError) as error:
                failure = ssl.SSLError("it closed the connection inside the TLS handshake") if secure else error
            except OSError as error:
                failure = error
            else:
                return protocol
        raise failure

    async def _allowed(self, endpoint: Endpoint) -> list[Address]:
        """The addresses that may be reached. Raises PermissionError when the host has others only."""
        found = await self._addresses(endpoint)
        faults = [self._reach.fault(ip_address(address)) for _, (address, _) in found]
        allowed = [one for one, fault in zip(found, faults, strict=True) if not fault]
        if faults and not allowed:
            raise PermissionError(faults[0])
        return allowed

    async def _addresses(self, endpoint: Endpoint) -> list[Address]:
        try:
            ip_address(endpoint.host)
        except ValueError:
            return await self._find(endpoint.host, endpoint.port)
        family = socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET
        return [(family, (endpoint.host, endpoint.port))]

    def _tell(self, endpoint: Endpoint, error: OSError) -> None:
        """Only what the evidence's one word does not explain: the rules of where and whom to trust."""
        if isinstance(error, PermissionError | ssl.SSLError):
            reason = str(error).partition(" (_ssl.c")[0]
            if self._reasons.get(endpoint) != reason:
                self._reasons[endpoint] = reason
                self._report("backend-not-reached", f"{self._backend.name} at {endpoint}: {reason}")


def _silent(event: str, text: str) -> None:
    pass


class Dialers:
    """One dialer a backend. Backends with the same description of TLS share what was read from its files."""

    def __init__(self, reach: Reach, *, find: Resolve = resolve, report: Report = _silent) -> None:
        self._reach = reach
        self._find = find
        self._report = report
        self._credentials: WeakValueDictionary[Tls, Credentials] = WeakValueDictionary()
        self._due = 0.0

    def dialer(self, backend: Backend) -> Dialer:
        """For `backend`. Files that cannot be read make its connections fail until they can."""
        secure = any(url.lower().startswith("https:") for url in backend.endpoints)
        credentials = self._credentials_of(backend) if secure else None
        return Dialer(backend, self._reach, credentials=credentials, find=self._find, report=self._report)

    def _credentials_of(self, backend: Backend) -> Credentials:
        tls = backend.tls
        known = self._credentials.get(tls)
        if known is None:
            files = (tls.ca, tls.certificate, tls.key)
            name = f"backend {backend.name}"
            known = Credentials(name, lambda: client_context(tls), files=files, report=self._report)
            self._credentials[tls] = known
        return known

    def sweep(self, now: float) -> None:
        """Look for changed files, once a second at most."""
        if now >= self._due and self._credentials:
            self._due = now + LOOK_SECONDS
            for credentials in list(self._credentials.values()):
                credentials.refresh()
