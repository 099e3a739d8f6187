"""`python -m modelctl.store.pruning --database URL`: the program behind `modelctl db prune`."""

import argparse
import sys
import time
from collections.abc import Sequence

from sqlalchemy import Engine

from modelctl.errors import ModelctlError, NotFound
from modelctl.store import retention, schema
from modelctl.store.engine import connect, reading
from modelctl.store.retention import Removed
from modelctl.store.sweep import Sweep, Wish, due, finish, surplus_sweep, sweep_of, too_large

ROUNDS = 10
"""How often the size is looked up again: of what a row takes only the mean is known."""


def prune(engine: Engine, wish: Wish, *, at: int) -> tuple[Removed, float]:
    """Makes the wish true at Unix microsecond `at`; what went, and the seconds of the longest transaction. Raises StoreError."""
    removed, longest = _finished(sweep_of(engine, wish, at=at))
    for _ in range(ROUNDS):
        count, sweep = surplus_sweep(engine, wish)
        if not count:
            break
        more, took = _finished(sweep)
        removed, longest = removed.plus(more), max(longest, took)
        if not more.predictions:
            break
    return removed, longest


def _finished(sweep: Sweep) -> tuple[Removed, float]:
    finish(sweep)
    return sweep.removed, sweep.pace.longest


def planned(engine: Engine, wish: Wish, *, at: int) -> str:
    """What `prune` would take, in lines for people. Raises StoreError."""
    lines = [
        f"route {name}: {count:,} predictions with their pairs, for their age" for name, count in due(engine, wish, at=at).items()
    ]
    lines += [
        f"route {name}: about {count:,} of its oldest predictions, for its size" for name, count in too_large(engine, wish).items()
    ]
    count, _ = surplus_sweep(engine, wish)
    if count:
        lines.append(f"about {count:,} of the oldest predictions, for the size")
    return "\n".join(lines or ["nothing: no route has a retention (modelctl route set NAME --keep 30d), and no limit was named"])


def _check_route(engine: Engine, name: str | None) -> None:
    with reading(engine) as connection:
        names = retention.keeps(connection)
    if name is not None and name not in names:
        raise NotFound(f"there is no route {name!r}; there are {', '.join(sorted(names)) or 'none'}")


def _run(options: argparse.Namespace) -> str:
    wish = Wish(options.route, older_than=options.older_than, most=options.max_bytes, thorough=True)
    at = time.time_ns() // 1000
    schema.check(options.database)
    engine = connect(options.database)
    try:
        _check_route(engine, wish.route)
        if options.dry_run:
            return planned(engine, wish, at=at)
        removed, longest = prune(engine, wish, at=at)
    finally:
        engine.dispose()
    return (
        f"removed {removed.predictions:,} predictions, {removed.pairs:,} pairs, {removed.feedback:,} feedback, "
        f"{removed.other:,} other rows; the longest transaction took {longest * 1000:.0f} ms"
    )


def main(arguments: Sequence[str]) -> int:
    """Prints what went, or would go; an error is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m modelctl.store.pruning", description="Takes old evidence away.")
    parser.add_argument("--database", required=True, metavar="URL", help="sqlite:///FILE or postgresql://USER@HOST/NAME")
    parser.add_argument("--older-than", type=int, default=0, metavar="SECONDS", help="in place of the routes' own settings")
    parser.add_argument("--max-bytes", type=int, default=0, metavar="BYTES", help="what the evidence may take")
    parser.add_argument("--route", metavar="NAME", help="this route only")
    parser.add_argument("--dry-run", action="store_true", help="say what would go")
    try:
        said = _run(parser.parse_args(arguments))
    except ModelctlError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{said}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
