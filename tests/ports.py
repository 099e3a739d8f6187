"""Ports for programs that tests start, stop and start again."""

import socket
from contextlib import suppress
from random import SystemRandom

_PORTS = (10_000, 30_000)
_chance = SystemRandom()  # not the one that hypothesis sets to the same start in every process


def free_port() -> int:
    """A port nobody listens on now, below those the system gives to outgoing connections: nobody takes it by chance meanwhile."""
    while True:
        port = _chance.randrange(*_PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
