"""What the control plane keeps between two scrapes."""

import asyncio

from modelctl.controlplane.metrics.stored import Stored
from modelctl.controlplane.metrics.totals import Totals
from modelctl.traffic import RoutingTable


class Board:
    """The workers' counts, the last that the database said, what asks it now, and the newest routing table that was decoded."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.stored = Stored()
        self.reading: asyncio.Future[Stored] | None = None
        self.table = RoutingTable(version=0)
