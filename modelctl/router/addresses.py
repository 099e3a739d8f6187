"""The addresses behind an endpoint's host name: looked up again and again, the last good answer kept, each tried in its turn."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

from modelctl.endpoint import Endpoint

REFRESH = 5.0
LOOK_UP_SECONDS = 5.0
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says. Raises OSError.

    It can take a minute to fail and cannot be interrupted, so it runs in a thread of its own that no exit of the process waits for.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Sequence[str]] = loop.create_future()

    def work() -> None:
        found = _ask_system(host, port)
        with suppress(RuntimeError):  # the loop has ended: nobody wants the answer
            loop.call_soon_threadsafe(_settle, answer, found)

    try:
        threading.Thread(target=work, name="resolver", daemon=True).start()
    except RuntimeError as error:
        raise OSError(str(error)) from error
    return await answer


def _ask_system(host: str, port: int) -> Sequence[str] | Exception:
    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        return error


def _settle(answer: asyncio.Future[Sequence[str]], found: Sequence[str] | Exception) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


async def addresses(endpoint: Endpoint, resolve: Resolve) -> tuple[str, ...]:
    """Every address that a connection to `endpoint` may go to, each once, at least one. Raises OSError."""
    if is_fixed(endpoint):
        return (endpoint.host,)
    found = await resolve(endpoint.host, endpoint.port)
    if not found:
        raise OSError(f"{endpoint.host} has no address")
    return tuple(dict.fromkeys(found))


def is_fixed(endpoint: Endpoint) -> bool:
    """Whether there is nothing to look up."""
    if endpoint.socket:
        return True
    try:
        ip_address(endpoint.host)
    except ValueError:
        return False
    return True


class Addresses:
    """Those of one endpoint. `known` is replaced when it changes, so `is` tells; it is empty before the first answer.

    `trouble` says why the last look-up failed, "" when it did not. `due` is when the next one is to begin (the clock's seconds).
    """

    __slots__ = ("_blamed", "_look_up", "_turn", "due", "endpoint", "fixed", "known", "looking", "resolve", "trouble")

    def __init__(self, endpoint: Endpoint, resolve: Resolve, *, now: float) -> None:
        self.endpoint = endpoint
        self.resolve = resolve
        self.fixed = is_fixed(endpoint)
        self.known: tuple[str, ...] = ()
        self.due = now
        self.looking = False
        self.trouble = ""
        self._look_up: asyncio.Task[tuple[str, ...]] | None = None
        self._turn = 0
        self._blamed: set[str] = set()

    async def refresh(self) -> None:
        """Look up. Does not raise: what was known stays known, and `trouble` says why."""
        try:
            found = await self._found()
        except (OSError, UnicodeError) as error:
            self.trouble = str(error)
            return
        self.trouble = ""
        self._blamed = set()
        if set(found) != set(self.known):
            self.known = found

    async def _found(self) -> tuple[str, ...]:
        """The answer of a look-up, a new one unless one is under way: a resolver that hangs must not be asked ever more."""
        look_up = self._look_up
        if look_up is None:
            look_up = self._look_up = asyncio.get_running_loop().create_task(addresses(self.endpoint, self.resolve))
        await asyncio.wait([look_up], timeout=LOOK_UP_SECONDS)
        if not look_up.done():
            raise TimeoutError(f"no answer within {LOOK_UP_SECONDS:g} s")
        if self._look_up is look_up:
            self._look_up = None
        if look_up.cancelled():
            raise OSError("the backend is not in use any more")
        return look_up.result()

    def stop(self) -> None:
        """Nobody needs the answer of a look-up any more."""
        if self._look_up is not None:
            self._look_up.cancel()

    async def in_turn(self) -> list[str]:
        """Where to connect to, the best first: each address comes first in its turn, and one that failed lately last.

        Raises OSError when no address is known.
        """
        if not self.known:
            await self.refresh()
        if not self.known:
            raise OSError(self.trouble)
        known = self.known
        turn = self._turn % len(known)
        self._turn += 1
        return sorted(known[turn:] + known[:turn], key=lambda address: address in self._blamed)

    def resemble(self, other: "Addresses") -> None:
        """It is the same endpoint as `other`, in a new description of the backend."""
        self.known = other.known

    def blame(self, address: str) -> None:
        """No connection to it. It comes last until the next look-up; one that never changes stays as it is."""
        if not self.fixed:
            self._blamed.add(address)
