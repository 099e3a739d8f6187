"""How the control plane connects to a backend: as the routers do, by TCP or a Unix socket, with the TLS that was agreed."""

import ssl
from typing import Any, NoReturn

import httpx

from modelctl.endpoint import parse_endpoint
from modelctl.errors import InvalidInput
from modelctl.policy import Tls
from modelctl.traffic import Backend


def root(backend: Backend) -> str:
    """The URL of the backend's first endpoint as httpx has it: a Unix socket has one like any other."""
    endpoint = parse_endpoint(backend.endpoints[0])
    return f"http://{endpoint.authority}" if endpoint.socket else str(endpoint)


def transport(backend: Backend) -> httpx.AsyncHTTPTransport:
    """What reaches the backend's first endpoint. Raises InvalidInput when a file of its TLS cannot be used here."""
    endpoint = parse_endpoint(backend.endpoints[0])
    if endpoint.scheme != "https":
        return httpx.AsyncHTTPTransport(uds=endpoint.socket or None, trust_env=False)
    return httpx.AsyncHTTPTransport(verify=_context(backend), trust_env=False)


def tls_name(backend: Backend) -> dict[str, Any]:
    """The extension of a request that names whom the certificate must be for; empty for the endpoint's host."""
    return {"sni_hostname": backend.tls.server_name} if backend.tls.server_name else {}


def _context(backend: Backend) -> ssl.SSLContext:
    tls = backend.tls
    try:
        return _loaded(tls)
    except (OSError, ValueError) as error:  # a file that is no PEM raises SSLError, which is one
        raise InvalidInput(
            f"the control plane cannot use the TLS files of backend {backend.name!r} ({error}): it needs them on its own machine "
            "too, at the same paths"
        ) from error


def _loaded(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca or None)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key or None, _no_password)
    return context


def _no_password() -> NoReturn:
    """Without it OpenSSL would ask at the terminal, and every command would wait."""
    raise ssl.SSLError("the key is encrypted, and there is nobody to ask for its password")
