"""Prints the acceptance list with what was measured, as a Markdown table: `python -m tests.statistics.acceptance`."""

from collections.abc import Iterator

from tests.statistics.acceptance.list import CASES
from tests.statistics.acceptance.promise import Case


def lines(case: Case) -> Iterator[str]:
    """One line for each figure; a control's setting is in italics."""
    for one in case.measure(case.runs):
        setting = f"*{one.setting}*" if one.control else one.setting
        yield f"| {case.id} | {setting} | {one.nominal} | {one.figure} | {one.limit} | {'yes' if one.kept else '**no**'} |"


def main() -> None:
    """Measure everything, at full size."""
    print("| id | setting | nominal | measured | bound | kept |\n|---|---|---|---|---|---|")
    for case in CASES:
        print(*lines(case), sep="\n", flush=True)


if __name__ == "__main__":
    main()
