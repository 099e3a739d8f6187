"""What `make bench` prints: a table for each workload, and below it how it was measured and what limited it."""

from collections.abc import Sequence

from tests.benchmarks.contestants import OURS
from tests.benchmarks.figures import Run, middle_of
from tests.benchmarks.open_loop import SHARES
from tests.benchmarks.ours import ROUTER
from tests.benchmarks.proxies import PEERS, present
from tests.benchmarks.recording import BODY
from tests.benchmarks.rounds import DIRECT, Bench, Results
from tests.benchmarks.tables import CLOSED, EVENTS, MEMORY, OPEN, number, table

_CLOSED = {"small": "small split", "mirror": "small mirror", "64k": "64 KiB bodies", "1m": "1 MiB bodies"}


def report(bench: Bench, results: Results) -> str:
    """The whole answer, as Markdown."""
    titles = {**present(), DIRECT: "no proxy"}
    away = [peer.title for name, peer in PEERS.items() if name not in titles]
    parts = [f"Rounds of {bench.seconds} s: {bench.rounds}, interleaved; medians. {bench.connections} connections."]
    if away:
        parts.append(f"Not found on this machine and left out: {', '.join(away)}.")
    runs = results.runs
    for workload in runs:
        if workload in _CLOSED:
            parts += [table(_CLOSED[workload], CLOSED, runs=runs[workload], titles=titles), _closed_note(results, workload)]
        elif workload == "sse":
            parts += [table("server-sent events", EVENTS, runs=runs[workload], titles=titles), _events_note(results)]
        elif workload == "open":
            parts += [table("open loop", OPEN, runs=runs[workload], titles=titles, by=""), _open_note(results)]
        else:
            parts.append(table("memory", MEMORY, runs=runs[workload], titles=titles, by="idle"))
        parts += [
            f"{titles[name]} failed and is left out: {'; '.join(why)}." for name, why in results.unfit.get(workload, {}).items()
        ]
    if results.recorder:
        parts += [_recorder_table(results), _recorder_note()]
    return "\n\n".join(parts)


def _recorder_table(results: Results) -> str:
    """What a record costs the recorder, and what its request cost the router in the same run."""
    lines = [
        "| one core | predictions/s | CPU µs a prediction | on the clock µs | of sticky units: CPU µs | and its pair: CPU µs |",
        "| --- " * 6 + "|",
    ]
    for database, by in results.recorder.items():
        plain, sticky, both = by["plain"], by["sticky"], 2 * by["shadow"].cpu
        cells = (number(1e6 / plain.cpu), *(number(cost, 1) for cost in (plain.cpu, plain.clock, sticky.cpu, both)))
        lines.append(f"| recorder, {database} | {' | '.join(cells)} |")
    costs = {name: middle_of(results.runs[name][OURS], "cpu", part=ROUTER) for name in ("small", "mirror") if name in results.runs}
    if costs:
        split, mirror = (number(costs[name], 1) if name in costs else "" for name in ("small", "mirror"))
        lines.append(f"| router's worker, {_CLOSED['small']} and {_CLOSED['mirror']} | | {split} | | | {mirror} |")
    return "\n".join(lines)


def _recorder_note() -> str:
    return (
        f"The recorder alone, in one process: bodies of {BODY} bytes, no two answers equal, a new database each time, without "
        "PostgreSQL's own processes. A pair holds the request and both answers again."
    )


def _most(results: Results, workload: str, name: str) -> float:
    return max(run.values.get(name, 0.0) for found in results.runs[workload].values() for run in found)


def _dropped(found: Sequence[Run]) -> str:
    return f"modelctl's spool took {number(100 - max(run.values['dropped'] for run in found), 1)} % of the records or more."


def _closed_note(results: Results, workload: str) -> str:
    direct = results.direct[workload].values
    backend, load = (number(100 * _most(results, workload, name)) for name in ("backend_busy", "load_busy"))
    return (
        f"Without a proxy: {number(direct['per_second'])} requests/s, p50 {number(direct['p50'])} µs. Beside a proxy the "
        f"backend kept at most {backend} % of a core busy and wrk {load} %. {_arrived(results, workload)} "
        f"{_dropped(results.runs[workload][OURS])}"
    )


def _arrived(results: Results, workload: str) -> str:
    runs = results.runs[workload]
    fewest = {name: 100 * min(run.values["arrived"] for run in found) for name, found in runs.items()}
    shares = ", ".join(f"{name} {number(share, 1)} %" for name, share in fewest.items())
    return f"Requests that arrived at the backends, of the answered ones, the fewest in a run: {shares}."


def _events_note(results: Results) -> str:
    direct = results.direct["sse"].values
    together = number(_most(results, "sse", "paced_per_read"), 1)
    busy, delay = number(100 * _most(results, "sse", "load_busy")), number(_most(results, "sse", "direct50"))
    return (
        f"Without a proxy the flood is {number(direct['per_second'])} events/s, {number(direct['per_read'], 1)} in a read. While "
        f"events are paced the client finds {together} in a read and is {busy} % of a core busy at most; a direct event takes "
        f"{delay} µs at most (median of a run). {_dropped(results.runs['sse'][OURS])}"
    )


def _open_note(results: Results) -> str:
    rates = " / ".join(number(results.single["saturation"] * share / 100) for share in SHARES)
    late = " / ".join(number(_most(results, "open", f"late@{share}")) for share in SHARES)
    busy = " / ".join(number(100 * _most(results, "open", f"busy@{share}")) for share in SHARES)
    return (
        f"Our saturation in this run: {number(results.single['saturation'])} requests/s, so the rates are {rates} requests/s. The "
        f"generator alone brings forth {number(results.single['generator'])} requests/s; at these rates it kept {busy} % of a core "
        f"busy at most, and 99 % of its requests went out at most {late} µs after they were due."
    )
