"""The sockets that clients and the control plane's callers connect to, opened once and inherited by whoever serves them."""

import errno
import os
import socket
import stat
from pathlib import Path

from modelctl.errors import InvalidSettings
from modelctl.settings import Address

BACKLOG = 4_096
_PROBE_SECONDS = 1.0
_OTHERS = 0o117  # what a socket file does not allow: anything to others, execution to anybody


def open_listener(address: Address, flag: str) -> socket.socket:
    """A socket that listens there. Raises InvalidSettings that names `flag`."""
    try:
        listener = _open_socket_file(address.socket) if address.socket else _open_port(address)
    except OSError as error:
        raise InvalidSettings(
            [f"{flag} {address}: {error.strerror or error}; choose another address or stop what listens there"]
        ) from None
    listener.set_inheritable(True)
    return listener


def _open_port(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family, backlog=BACKLOG)


def _open_socket_file(path: str) -> socket.socket:
    """Mode 0660 from its first moment: who may connect is a matter of the file's owner and group."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(_OTHERS)
    try:
        listener.bind(path)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(mask)
    return listener


def _remove_stale(path: str) -> None:
    """A socket file outlives its process. It goes only if it is one and nobody listens. Raises OSError."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "there is a file that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_SECONDS)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()
            return
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


class SocketFile:
    """The file of a listening Unix socket, to be removed at the end; nothing for any other socket."""

    def __init__(self, listener: socket.socket) -> None:
        self._path = str(listener.getsockname()) if listener.family == socket.AF_UNIX else ""
        self._own = self._identity()

    def remove(self) -> None:
        """Unless another process has put its own there meanwhile."""
        if self._path and self._identity() == self._own:
            Path(self._path).unlink(missing_ok=True)

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = os.lstat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino


def url_of(listener: socket.socket, scheme: str = "http") -> str:
    """Where to connect to it from this machine."""
    if listener.family == socket.AF_UNIX:
        return f"unix:{listener.getsockname()}"
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  (what children connect to)
    return f"{scheme}://{Address(host, port)}"
