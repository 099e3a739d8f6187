"""How long every page of the dashboard takes on a large store: `python -m tests.benchmarks.dashboard`.

1,000 routes, 50 open rollouts and the sums of 10 million predictions; the control plane is a process of its own and
conducts them.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from tests.acceptance.program import Process, until
from tests.benchmarks.crowd import Size, build
from tests.ports import free_port

BUDGET_MS = 300.0
PAGES = (
    *("/", "/?page=20", "/?q=route-07", "/routes/route-0001", "/routes/route-0900", "/rollouts/1", "/rollouts/1/advance"),
    *("/rollouts/1/rollback", "/routes/route-0900/start/canary", "/routes/route-0001/report", "/routes/route-0900/put-back"),
    "/routes/route-0900/start/canary?candidates=model-0901-v1&percent=5&gates=error_rate:guardrail:margin=1pt&review=1",
    *("/backends", "/backends?page=20", "/backends/model-0001-v2", "/predictions", "/predictions?route=route-0007"),
    *("/predictions?route=route-0007&outcome=backend_error", "/predictions?outcome=timeout", "/predictions?rollout=9"),
    *("/history", "/history?route=route-0007"),
)


@contextmanager
def served(folder: Path) -> Iterator[httpx.Client]:
    """A browser at a control plane over the store in the folder."""
    port = free_port()
    settings = {"control": f"127.0.0.1:{port}", "database": f"sqlite:///{folder / 'modelctl.db'}", "data_dir": str(folder)}
    process = Process("modelctl.controlplane", log=folder / "log", settings=settings)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url, headers={"accept": "text/html"}, trust_env=False, timeout=120) as client:
        until(lambda: _answers(client), what="the control plane's start", within=60)
        yield client
    process.stop()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/livez").status_code == 200
    except httpx.TransportError:
        return False


def measured(client: httpx.Client, path: str, *, times: int) -> tuple[float, float, int]:
    """The median and the slowest of some looks at a page in milliseconds, and its size in bytes."""
    took: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        answer = client.get(path)
        took.append((time.perf_counter() - began) * 1000)
        assert answer.status_code == 200, (path, answer.text)
    return statistics.median(took), max(took), len(answer.content)


def with_example(client: httpx.Client) -> tuple[str, ...]:
    """The pages, those of a prediction and of a pair among them."""
    pair = client.get("/v1/pairs?limit=1").json()["items"][0]
    return (*PAGES, f"/predictions/{pair['prediction_id']}", f"/pairs/{pair['prediction_id']}/{pair['candidate']['backend']}")


def main() -> int:
    """1 when a page's median is above the budget."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=15)
    parser.add_argument("--rows", type=int, default=Size().rows)
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder, began = Path(name), time.perf_counter()
        build(folder / "modelctl.db", Size(rows=options.rows), at=time.time_ns() // 1000)
        print(f"built in {time.perf_counter() - began:.0f} s, {(folder / 'modelctl.db').stat().st_size / 1e6:,.0f} MB")
        with served(folder) as client:
            late = 0
            print(f"{'median':>9} {'slowest':>9} {'kB':>6}  page")
            for path in with_example(client):
                median, slowest, size = measured(client, path, times=options.times)
                late += median > BUDGET_MS
                print(f"{median:6.0f} ms {slowest:6.0f} ms {size / 1000:6.1f}  {path}{'  TOO SLOW' if median > BUDGET_MS else ''}")
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main())
