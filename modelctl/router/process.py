"""The process and its connections, as they see each other."""

from typing import Protocol

from modelctl.router.clock import Clock
from modelctl.router.intake import KnownHeads
from modelctl.router.overload import Load
from modelctl.router.refusal import Refusal
from modelctl.router.shadow import Evidence
from modelctl.router.table import CompiledTable
from modelctl.settings import Settings


class Connection(Protocol):
    """A client's connection."""

    draining: bool
    deadline: float

    def expired(self) -> None:
        """The deadline has passed."""

    def drain(self) -> None:
        """Answer what was asked, then close."""

    def hurry(self) -> None:
        """When nothing is asked on it, close it soon."""

    def cut(self) -> None:
        """Close now."""


class Process(Protocol):
    """What a connection needs of its process."""

    settings: Settings
    spool: Evidence
    clock: Clock
    known_heads: KnownHeads
    load: Load
    table: CompiledTable | None

    def admit(self, connection: Connection) -> bool:
        """Whether a new connection may stay."""

    def supersede(self, old: Connection, new: Connection) -> None:
        """`new` has taken over what `old` was."""

    def dismiss(self, connection: Connection) -> None:
        """It is closed."""

    def trusts(self, peer: str) -> bool:
        """Whether this address may say on whose behalf it asks."""

    def count_refusal(self, refusal: Refusal) -> None:
        """One more answer of the router's own."""
