"""Opening a connection to a model server: to an address that may be reached, over the transport its URL names.

The address is checked right before connecting, and it itself is connected to: what a name stood for when the backend was
registered says nothing about now (GHSA-h7x2-h6g9-p789). Where TLS is asked for there is no way back to plain text.
"""

import asyncio
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import cast
from weakref import WeakValueDictionary

from modelctl import evidence
from modelctl.endpoint import ANYWHERE, Endpoint, Reach
from modelctl.policy import Tls
from modelctl.router.addresses import Resolve, system_resolve
from modelctl.router.roster import Report, unheard
from modelctl.router.tls import Credentials, client_context
from modelctl.traffic import Backend, HostSent

LOOK_SECONDS = 1.0  # how often the files of TLS are looked at

_MAX_REASONS = 1_024
Factory = Callable[[], object]


def failure_of(error: BaseException) -> str:
    """Evidence's word for a connection that was not opened."""
    return evidence.TLS if isinstance(error, ssl.SSLError) else evidence.CONNECT


class Dialer:
    """Opens connections to the endpoints of one backend. A reason why that fails is reported when it is a new one."""

    def __init__(self, backend: Backend, reach: Reach, *, credentials: Credentials | None, report: Report) -> None:
        self._backend = backend
        self._reach = reach
        self._credentials = credentials
        self._report = report
        self._reasons: dict[tuple[Endpoint, str], str] = {}

    def host_for(self, endpoint: Endpoint) -> bytes:
        """The Host field of requests to `endpoint`; empty for the client's own."""
        return endpoint.authority.encode() if self._backend.host is HostSent.ENDPOINT else b""

    async def open(self, endpoint: Endpoint, address: str, *, factory: Factory) -> object:
        """The protocol that `factory` made, connected to one `address` of the endpoint, or to its Unix socket.

        Raises OSError; PermissionError where it must not go, ssl.SSLError when TLS is what failed.
        """
        try:
            protocol = await self._open(endpoint, address, factory=cast("Callable[[], asyncio.Protocol]", factory))
        except (PermissionError, ssl.SSLError) as error:
            self._tell(endpoint, address, error=error)
            raise
        if self._reasons:
            self._reasons.pop((endpoint, address), None)
        return protocol

    async def _open(self, endpoint: Endpoint, address: str, *, factory: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
        loop = asyncio.get_running_loop()
        path = endpoint.socket
        fault = self._reach.socket_fault(path) if path else self._reach.fault(ip_address(address))
        if fault:
            raise PermissionError(fault)
        if path:
            return (await loop.create_unix_connection(factory, path))[1]
        if self._credentials is None or endpoint.scheme != "https":
            return (await loop.create_connection(factory, address, endpoint.port))[1]
        context = self._credentials.context
        name = (self._backend.tls.server_name or endpoint.host).removesuffix(".")
        try:
            return (await loop.create_connection(factory, address, endpoint.port, ssl=context, server_hostname=name))[1]
        except (ConnectionResetError, ConnectionAbortedError) as error:
            raise ssl.SSLError("it closed the connection inside the TLS handshake") from error
        except ValueError as error:
            raise ssl.SSLError(f"{name!r} cannot be asked for: {error}") from error

    def _tell(self, endpoint: Endpoint, address: str, *, error: OSError) -> None:
        """Only what the evidence's one word does not explain: the rules of where to go and whom to trust."""
        reason = (error.strerror or str(error.args[0] if error.args else error)).partition(" (_ssl.c")[0]
        if self._reasons.get((endpoint, address)) != reason:
            if len(self._reasons) >= _MAX_REASONS:
                self._reasons.clear()
            self._reasons[endpoint, address] = reason
            self._report("backend-not-reached", f"{self._backend.name} at {endpoint}: {reason}")


class Dialers:
    """One dialer a backend; `resolve` is how names are looked up for it.

    Backends with the same description of TLS share what was read from its files.
    """

    def __init__(self, reach: Reach = ANYWHERE, *, resolve: Resolve = system_resolve, report: Report = unheard) -> None:
        self.resolve = resolve
        self._reach = reach
        self._report = report
        self._credentials: WeakValueDictionary[Tls, Credentials] = WeakValueDictionary()
        self._due = 0.0

    def dialer(self, backend: Backend) -> Dialer:
        """For `backend`. Files that cannot be read make its connections fail until they can."""
        secure = any(url.lower().startswith("https:") for url in backend.endpoints)
        credentials = self._credentials_of(backend) if secure else None
        return Dialer(backend, self._reach, credentials=credentials, report=self._report)

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
