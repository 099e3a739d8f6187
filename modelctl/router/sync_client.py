"""A client's connection in sync mode: the end of each answer waits until the spool has its record.

What came of an answer before its end is passed on as ever. A connection holds one answer at a time, and of it what the last read of
the backend brought.
"""

from typing import Protocol

from modelctl.router.client import ClientConnection
from modelctl.router.exchange import Exchange
from modelctl.router.process import Process
from modelctl.router.refusal import Refusal


class Holding(Protocol):
    """The spool, as far as waiting for it goes: see SyncSpool."""

    @property
    def unwritten(self) -> bool:
        """Whether there is a record to wait for."""

    def hold(self, waiter: "SyncClient") -> None:
        """Tell it when everything appended so far is written."""


class SyncClient(ClientConnection):
    """See the module. `_held` is the exchange whose end waits: the bytes in `_end`, or a refusal."""

    _held: Exchange | None = None
    _freed: Exchange | None = None
    _refusal: Refusal | None = None

    def __init__(self, worker: Process, spool: Holding) -> None:
        super().__init__(worker)
        self._spool = spool
        self._end: list[bytes] = []
        self._end_size = 0

    def write(self, parts: list[bytes], size: int) -> None:
        """Part of Client: the last bytes are kept, the record behind them is appended next."""
        active = self.active
        upstream = active.upstream if active is not None else None
        if upstream is not None and upstream.complete:
            self._end = parts
            self._end_size = size
        else:
            super().write(parts, size)

    def refuse(self, refusal: Refusal, exchange: Exchange) -> None:
        """The router's own answer to `exchange`, which may have left a record."""
        if exchange is not self._freed and exchange.begun and self._spool.unwritten:
            self._refusal = refusal
            self._wait(exchange)
        else:
            super().refuse(refusal, exchange)

    def on_exchange_done(self, exchange: Exchange) -> None:
        """Part of Client: the next request has its turn when this one's record is written."""
        if exchange is not self._freed and exchange.begun and self._spool.unwritten:
            exchange.upstream = None  # it serves others by now
            self._wait(exchange)
        else:
            self._finish(exchange)

    def _wait(self, exchange: Exchange) -> None:
        self._held = exchange
        self._spool.hold(self)

    def _finish(self, exchange: Exchange) -> None:
        end, self._end = self._end, []
        if end:
            super().write(end, self._end_size)
        super().on_exchange_done(exchange)

    def on_spoiled(self, exchange: Exchange, refusal: Refusal) -> None:
        """Part of Receiver."""
        if exchange is self._held:
            self.cut()  # its answer is decided
        else:
            super().on_spoiled(exchange, refusal)

    def on_written(self) -> None:
        """Part of Waiter."""
        exchange, self._held = self._held, None
        refusal, self._refusal = self._refusal, None
        if exchange is None or exchange is not self.active:
            return  # the client has left
        self._freed = exchange
        if refusal is not None:
            super().refuse(refusal, exchange)
        else:
            self._finish(exchange)
        self._freed = None
