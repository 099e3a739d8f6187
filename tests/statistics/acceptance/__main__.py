"""Prints the acceptance list with what was measured, as a Markdown table: `python -m tests.statistics.acceptance`."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

from tests.statistics.acceptance.list import CASES
from tests.statistics.acceptance.promise import Measured


def lines(measured: Sequence[Measured]) -> Iterator[str]:
    """One line for each promise, with the control that follows it."""
    for one, following in zip_longest(measured, measured[1:]):
        if not one.control:
            control = f"{following.setting}: {following.figure}, {following.limit}" if following and following.control else ""
            yield f"| {one.setting} | {one.nominal} | {one.figure} | {one.limit}{'' if one.kept else ' **missed**'} | {control} |"
    if measured[0].control:
        yield f"| the harness sees a broken method | | | | {measured[0].setting}: {measured[0].figure}, {measured[0].limit} |"


def main() -> None:
    """Measure everything, at full size."""
    print("| id | setting | nominal | measured | bound | control: a broken method on the same streams |\n|---|---|---|---|---|---|")
    for case in CASES:
        print(*(f"| {case.id} {line}" for line in lines(case.measure(case.runs))), sep="\n", flush=True)


if __name__ == "__main__":
    main()
