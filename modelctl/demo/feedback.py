"""Tells the control plane what turned out to be true, a few seconds after each prediction, in batches."""

import heapq
from typing import NamedTuple

import httpx

from modelctl.demo.tally import Tally

BATCH = 500
WAITING_LIMIT = 10_000
ATTEMPTS = 3


class Truth(NamedTuple):
    """The true label of a request, to be told when the clock passes `due`. `attempt` counts from 1."""

    due: float
    request_id: str
    label: str
    attempt: int = 1


class Feedback:
    """Truths that wait for their time. Nothing here raises for what the control plane does: traffic goes on without it."""

    def __init__(self, client: httpx.AsyncClient, url: str, *, tally: Tally) -> None:
        self._client = client
        self._url = url
        self._tally = tally
        self._waiting: list[Truth] = []

    def add(self, truth: Truth) -> None:
        """Keeps `truth` until it is due; one too many counts as failed."""
        if len(self._waiting) >= WAITING_LIMIT:
            self._tally.feedback_failed += 1
        else:
            heapq.heappush(self._waiting, truth)

    async def send_due(self, now: float) -> None:
        """Sends what is due, in batches, until there is none left or the control plane fails."""
        while batch := self._take(now):
            if not await self._send(batch):
                self._keep(batch, until=now + 1.0)
                return
            self._tally.feedback_sent += len(batch)

    async def finish(self) -> None:
        """Sends everything, due or not; what cannot be told now has failed."""
        await self.send_due(float("inf"))
        self._tally.feedback_failed += len(self._waiting)
        self._waiting.clear()

    def _take(self, now: float) -> list[Truth]:
        batch: list[Truth] = []
        while self._waiting and self._waiting[0].due <= now and len(batch) < BATCH:
            batch.append(heapq.heappop(self._waiting))
        return batch

    def _keep(self, batch: list[Truth], *, until: float) -> None:
        for truth in batch:
            if truth.attempt < ATTEMPTS:
                self.add(truth._replace(due=until, attempt=truth.attempt + 1))
            else:
                self._tally.feedback_failed += 1

    async def _send(self, batch: list[Truth]) -> bool:
        items = [{"request_id": truth.request_id, "value": truth.label, "source": "demo"} for truth in batch]
        try:
            reply = await self._client.post(self._url, json=items)
        except httpx.HTTPError:
            return False
        return reply.is_success
