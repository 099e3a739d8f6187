"""`python -m modelctl.controlplane.judgement.verify FILE` computes the verdict of an evidence bundle again.

Exits with 0 when it is the same, 1 with a table of what differs, and 2 when the file cannot be read.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from modelctl.controlplane.judgement.bundle import Verification, recompute
from modelctl.errors import Corrupt

SAME, DIFFERENT, UNREADABLE = 0, 1, 2

GET_ONE = "`modelctl decision list` names the decisions, and `modelctl decision bundle ID --out FILE` writes the bundle of one"


def main(arguments: Sequence[str]) -> int:
    """The exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m modelctl.controlplane.judgement.verify FILE\n")
        return UNREADABLE
    try:
        found = recompute(Path(arguments[0]).read_bytes())
    except OSError as error:
        sys.stderr.write(f"{arguments[0]} cannot be read: {error.strerror}; {GET_ONE}\n")
        return UNREADABLE
    except Corrupt as error:
        sys.stderr.write(f"{arguments[0]}: {error}\n")
        return UNREADABLE
    sys.stdout.write(_said(found))
    return SAME if found.same else DIFFERENT


def _said(found: Verification) -> str:
    if found.same:
        return f"The same verdict: {found.word}. Every number agrees to 9 digits.\n"
    rows = [("place", "in the bundle", "computed again")]
    rows += [(one.place, one.written, one.recomputed) for one in found.differences]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{first:<{widths[0]}}  {second:<{widths[1]}}  {third}" for first, second, third in rows]
    differ = "1 place differs" if len(found.differences) == 1 else f"{len(found.differences)} places differ"
    return "\n".join([f"{differ}; computed again the verdict is {found.word}.", *lines, ""])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
