"""What a backend does on its own from time to time: looking up the addresses of its endpoints, and checking their health."""

from collections.abc import Callable, Coroutine, Sequence
from random import random
from typing import Any

from modelctl.router.addresses import REFRESH, Addresses
from modelctl.router.health import Opener, Pulse, check

Spawn = Callable[[Coroutine[Any, Any, None]], None]


class Upkeep:
    """Begins what is due. `addresses`, `pulses` and `openers` are in the order of the endpoints; `pulses` may be empty.

    At most one look-up and one check of an endpoint run at a time, so whatever hangs does not pile up.
    """

    def __init__(
        self,
        backend: str,
        addresses: Sequence[Addresses],
        *,
        pulses: Sequence[Pulse],
        openers: Sequence[Opener],
        report: Callable[[str, str], None],
        on_change: Callable[[], None],
    ) -> None:
        """`report(event, text)` is told what changes, and `on_change` that the health of an endpoint has."""
        self._backend = backend
        self._addresses = [one for one in addresses if not one.fixed]
        self._checked = list(zip(pulses, openers, strict=True)) if pulses else []
        self._report = report
        self._on_change = on_change

    def tick(self, now: float, spawn: Spawn) -> None:
        """Often: `spawn` keeps what is begun."""
        for addresses in self._addresses:
            if now >= addresses.due and not addresses.looking:
                addresses.looking = True
                addresses.due = now + REFRESH
                spawn(self._look_up(addresses))
        for pulse, opener in self._checked:
            if now >= pulse.due and not pulse.checking:
                pulse.begin(now, random())
                spawn(self._check(pulse, opener))

    async def _look_up(self, addresses: Addresses) -> None:
        trouble, known = addresses.trouble, addresses.known
        try:
            await addresses.refresh()
        finally:
            addresses.looking = False
        name = f"{addresses.endpoint.host} of backend {self._backend!r}"
        if addresses.trouble and not trouble:
            self._report("name-unresolved", f"{name}: {addresses.trouble}; the last good addresses stay")
        elif trouble and not addresses.trouble:
            self._report("name-resolved", name)
        if known and known is not addresses.known:
            self._report("addresses-changed", f"{name}: now {', '.join(addresses.known)}")

    async def _check(self, pulse: Pulse, opener: Opener) -> None:
        why = "it was interrupted"
        try:
            why = await check(opener, pulse.rule)
        finally:
            changed = pulse.end(why)
        if changed:
            event = "endpoint-well" if pulse.well else "endpoint-unhealthy"
            self._report(event, f"{opener.endpoint} of backend {self._backend!r}{pulse.why and ': '}{pulse.why}")
            self._on_change()
