"""TLS contexts made of files, and made anew when the files change: certificates rotate without a restart.

At least TLS 1.2, ALPN `http/1.1` and nothing else. A file that cannot be used is told to `report` once; what worked before stays.
"""

import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from modelctl.policy import Tls
from modelctl.router.roster import Report

_PROTOCOLS = ["http/1.1"]


def server_context(certificate: str, key: str, *, client_ca: str = "") -> ssl.SSLContext:
    """What clients are met with; with `client_ca` each of them must show a certificate of its. Raises OSError."""
    context = _strict(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    context.load_cert_chain(certificate, key, _no_password)
    if client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


def client_context(tls: Tls) -> ssl.SSLContext:
    """What a backend is met with. Raises OSError."""
    context = _strict(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.ca:
        context.load_verify_locations(tls.ca)
    else:
        context.load_default_certs()
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key or None, _no_password)
    return context


def _strict(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(_PROTOCOLS)
    return context


def _no_password() -> NoReturn:
    """Without it OpenSSL would ask at the terminal, and the whole process would wait."""
    raise ssl.SSLError("the key is encrypted: a router has nobody to ask for its password")


class Credentials:
    """A context and the files it is made of. `name` says in reports what they are for."""

    def __init__(self, name: str, build: Callable[[], ssl.SSLContext], *, files: Sequence[str], report: Report) -> None:
        self._name = name
        self._build = build
        self._files = [Path(file) for file in files if file]
        self._report = report
        self._context: ssl.SSLContext | None = None
        self._fault = ""
        self._seen: tuple[tuple[int, ...], ...] = ()
        self.refresh()

    @property
    def context(self) -> ssl.SSLContext:
        """The newest that could be made. Raises ssl.SSLError while none could."""
        if self._context is None:
            raise ssl.SSLError(self._fault)
        return self._context

    def refresh(self) -> None:
        """Make it anew when a file has changed since the last look. A few system calls when none has."""
        seen = tuple(map(_mark, self._files))
        if seen == self._seen and (self._context is not None or self._fault):
            return
        self._seen = seen
        try:
            fresh = self._build()
        except (OSError, ValueError) as error:
            self._fault = f"{self._name}: the TLS files cannot be used: {_words(error)}: {', '.join(map(str, self._files))}"
            kept = "; those read before stay in use" if self._context is not None else ""
            self._report("tls-files-refused", self._fault + kept)
            return
        if self._context is not None or self._fault:
            self._report("tls-files-read", f"{self._name}: changed files are in use")
        self._context, self._fault = fresh, ""


def _mark(file: Path) -> tuple[int, ...]:
    """What changes when the file does; empty when it cannot be looked at."""
    try:
        stat = file.stat()
    except OSError:
        return ()
    return (stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_size)


def _words(error: Exception) -> str:
    """The reason without the place in Python's source."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(reason).partition(" (_ssl.c")[0]
