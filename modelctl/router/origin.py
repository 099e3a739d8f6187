"""Whom a request is from, as the backend is told (RFC 7239).

What a stranger says about it is dropped, what a trusted proxy says is kept.
"""

from collections.abc import Callable

from modelctl.router.address import believed, one_client
from modelctl.router.head import RequestHead

_SINGLE = frozenset({b"x-forwarded-proto", b"x-forwarded-host"})


class Origin:
    """The other end of one client connection. `peer` is its address, or empty on a Unix socket: nobody has one there."""

    def __init__(self, peer: str, *, trusted: bool, secure: bool) -> None:
        shown = f'"[{peer}]"' if ":" in peer else peer or "unknown"
        scheme = "https" if secure else "http"
        listed = f"x-forwarded-for: {peer}\r\n" if peer else ""
        self._peer = peer
        self._client = ""
        self._trusted = trusted
        self._own = (
            f"{listed}x-forwarded-proto: {scheme}\r\nforwarded: for={shown};proto={scheme}\r\nvia: 1.1 modelctl\r\n"
        ).encode()
        self._host = b"\0"  # no request has this one
        self._lines = b""

    def client(self, head: RequestHead, trusts: Callable[[str], bool]) -> str:
        """Who asks, as far as it can be believed: what shares one ration."""
        if self._trusted and head.forwarded:
            return one_client(believed(self._peer, head.forwarded, trusts=trusts))
        if not self._client:
            self._client = one_client(self._peer)
        return self._client

    def lines(self, head: RequestHead) -> bytes:
        """The field lines to add. The same ones again and again while the client asks for one host."""
        if self._trusted and head.forwarded:
            return self._appended(head, head.forwarded)
        if head.host != self._host:
            self._host = head.host
            self._lines = b"%bx-forwarded-host: %b\r\n" % (self._own, head.host)
        return self._lines

    def _appended(self, head: RequestHead, theirs: list[bytes]) -> bytes:
        """What a trusted peer says, then ours. The scheme and the host it saw are those of the request, so ours are not added."""
        ours = (self._own + b"x-forwarded-host: " + head.host + b"\r\n").splitlines(keepends=True)
        said = {line[: line.index(b":")].lower() for line in theirs} & _SINGLE
        return b"".join((*theirs, *(line for line in ours if line[: line.index(b":")] not in said)))
