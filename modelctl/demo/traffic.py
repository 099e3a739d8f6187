"""`python -m modelctl.demo.traffic --target URL --control URL --rate 20 --seconds 1800`: clients of the demonstration models.

Sends real rows to `TARGET/predict`, each with `x-user-id` and `x-request-id`, and a few seconds later their true labels to
`CONTROL/v1/feedback` (with the key in MODELCTL_KEY, if there is one). Prints what it counted every ten seconds and at the
end, on stderr. SIGINT and SIGTERM end it early.
"""

import argparse
import asyncio
import os
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import httpx
import msgspec

from modelctl.demo.answers import Prediction, question_of
from modelctl.demo.feedback import Feedback, Truth
from modelctl.demo.plan import Planned, planned
from modelctl.demo.rows import Dataset, read_dataset
from modelctl.demo.tally import Tally

INFLIGHT_LIMIT = 200
REPORT_SECONDS = 10.0
FEEDBACK_SECONDS = 1.0
_TIMEOUT = httpx.Timeout(10.0)
_LIMITS = httpx.Limits(max_connections=INFLIGHT_LIMIT, max_keepalive_connections=50, keepalive_expiry=4.0)

_read_prediction = msgspec.json.Decoder(Prediction).decode


class Job(NamedTuple):
    """What to send where. `control` may be empty: then no feedback is sent. `key` is the control plane's, or empty."""

    target: str
    control: str = ""
    rate: float = 20.0
    seconds: float = 1800.0
    seed: int = 1
    key: str = ""


class Clients:
    """One run of the clients. Request ids are new in every run: only the first truth of an id counts."""

    def __init__(self, job: Job, dataset: Dataset, *, report: Callable[[str], None]) -> None:
        self.tally = Tally()
        self._job = job
        self._report = report
        self._rows = dataset.traffic
        self._bodies = [msgspec.json.encode(question_of(row, dataset.names)) for row in dataset.traffic]
        self._run = secrets.token_hex(4)
        self._under_way: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._done = asyncio.Event()

    def stop(self) -> None:
        """Ends the stream now; what is under way is finished."""
        self._stop.set()

    async def run(self) -> None:
        """Sends everything that is planned, then what is left of the feedback."""
        headers = {"authorization": f"Bearer {self._job.key}"} if self._job.key else {}
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT, limits=_LIMITS) as models,
            httpx.AsyncClient(timeout=_TIMEOUT, headers=headers) as control,
        ):
            feedback = Feedback(control, f"{self._job.control}/v1/feedback", tally=self.tally)
            background = [asyncio.create_task(self._report_often()), asyncio.create_task(self._tell_often(feedback))]
            await self._send_planned(models, feedback)
            await asyncio.gather(*self._under_way)
            self._done.set()
            await asyncio.gather(*background)
            await feedback.finish()
        self._report(f"finished: {self.tally.line()}")

    async def _send_planned(self, client: httpx.AsyncClient, feedback: Feedback) -> None:
        clock = asyncio.get_running_loop().time
        start = clock()
        job = self._job
        plan = planned(len(self._rows), rate=job.rate, seconds=job.seconds, seed=job.seed)
        for number, request in enumerate(plan):
            if await _happens(self._stop, within=max(0.0, start + request.at - clock())):
                return
            if len(self._under_way) >= INFLIGHT_LIMIT:
                self.tally.skipped += 1
                continue
            task = asyncio.create_task(self._send(client, request, feedback=feedback, request_id=f"demo-{self._run}-{number}"))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _send(self, client: httpx.AsyncClient, request: Planned, *, feedback: Feedback, request_id: str) -> None:
        clock = asyncio.get_running_loop().time
        truth = self._rows[request.row].label
        headers = {"content-type": "application/json", "x-user-id": request.user, "x-request-id": request_id}
        self.tally.sent += 1
        sent_at = clock()
        try:
            reply = await client.post(f"{self._job.target}/predict", content=self._bodies[request.row], headers=headers)
            prediction = _read_prediction(reply.raise_for_status().content)
        except (httpx.HTTPError, msgspec.DecodeError, UnicodeDecodeError):
            self.tally.failed += 1
            return
        self.tally.count_answer(prediction.model, right=prediction.label == truth, seconds=clock() - sent_at)
        if self._job.control:
            feedback.add(Truth(clock() + request.feedback_after, request_id, truth))

    async def _report_often(self) -> None:
        while not await _happens(self._done, within=REPORT_SECONDS):
            self._report(self.tally.line())

    async def _tell_often(self, feedback: Feedback) -> None:
        while not await _happens(self._done, within=FEEDBACK_SECONDS):
            await feedback.send_due(asyncio.get_running_loop().time())


async def _happens(event: asyncio.Event, *, within: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), within)
    return event.is_set()


async def run(job: Job, report: Callable[[str], None]) -> Tally:
    """Sends the traffic of `job`, until it is all sent or SIGINT or SIGTERM arrives; gives lines of progress to `report`."""
    clients = Clients(job, read_dataset(), report=report)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, clients.stop)
    await clients.run()
    return clients.tally


def main(arguments: list[str] | None = None) -> int:
    """The process; returns its exit code: 0, or 1 when not one request was answered."""
    parser = argparse.ArgumentParser(
        prog="python -m modelctl.demo.traffic", description="Send real rows to the demonstration models."
    )
    parser.add_argument("--target", type=_url, required=True, help="the route's URL; rows go to TARGET/predict")
    parser.add_argument("--control", type=_url, help="the control plane's URL; without it no feedback is sent")
    parser.add_argument("--rate", type=_positive, default=20.0, help="requests a second (20)")
    parser.add_argument("--seconds", type=_positive, default=1800.0, help="how long (1800)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed sends the same rows at the same times")
    options = parser.parse_args(arguments)
    options.control = options.control or ""
    tally = asyncio.run(run(Job(**vars(options), key=os.environ.get("MODELCTL_KEY", "")), _write_line))
    return 0 if tally.answered or not tally.sent else 1


def _write_line(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number <= 100_000:
        raise argparse.ArgumentTypeError(f"{text} is out of range: more than 0, and at most 100000")
    return number


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is no URL such as http://127.0.0.1:8080")
    return text.rstrip("/")


if __name__ == "__main__":
    sys.exit(main())
