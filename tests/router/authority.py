"""Certificates for tests: an authority of their own, made by openssl."""

import ssl
import subprocess
from itertools import count
from pathlib import Path
from typing import NamedTuple

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_numbers = count(1)


class Pair(NamedTuple):
    """PEM files of a certificate and its key."""

    certificate: str
    key: str

    def server(self, *, client_ca: str = "") -> ssl.SSLContext:
        """A server that shows it, and with `client_ca` wants to be shown one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        return context


class Authority:
    """Issues certificates that its own certificate, `ca`, vouches for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pair = self.self_signed("/CN=test authority", "basicConstraints=critical,CA:TRUE")
        self.ca = self.pair.certificate

    def self_signed(self, subject: str = "/CN=127.0.0.1", extension: str = "subjectAltName=IP:127.0.0.1") -> Pair:
        """A certificate that nobody but itself vouches for."""
        pair = self._files()
        self._openssl("req", "-x509", *_KEY, "-days", "30", "-subj", subject, "-addext", extension, *self._out(pair))
        return pair

    def issue(self, names: str = "IP:127.0.0.1", *, days: int = 30) -> Pair:
        """A certificate for the subject alternative `names`; one of -1 days has expired."""
        pair = self._files()
        request = self._folder / "request.pem"
        extensions = self._folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\n")
        self._openssl("req", "-new", *_KEY, "-subj", "/CN=test", "-keyout", pair.key, "-out", str(request))
        signed = ("-CA", self.ca, "-CAkey", self.pair.key, "-CAcreateserial", "-extfile", str(extensions), "-days", str(days))
        self._openssl("x509", "-req", "-in", str(request), *signed, "-out", pair.certificate)
        return pair

    def client(self, shown: Pair | None = None) -> ssl.SSLContext:
        """A client that trusts this authority and may show a certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        if shown is not None:
            context.load_cert_chain(shown.certificate, shown.key)
        return context

    def _files(self) -> Pair:
        number = next(_numbers)
        return Pair(str(self._folder / f"{number}.pem"), str(self._folder / f"{number}.key"))

    def _out(self, pair: Pair) -> tuple[str, ...]:
        return ("-keyout", pair.key, "-out", pair.certificate)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)
