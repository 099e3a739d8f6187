"""Which recorded requests are shown as examples of a slice: the newest that lie in it. Pure; `gathering` reads the rows."""

import shlex
from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from modelctl.controlplane.report.disagreement import Disagreement
from modelctl.controlplane.report.slices import DISAGREEMENT, Slice, Slices
from modelctl.evidence import Request
from modelctl.kinds.document import ABSENT, document_of
from modelctl.kinds.slicing import Asked, slices_of, wants_document
from modelctl.metric import Dimension
from modelctl.store.samples import Requested

EACH = 3
SLICES = 10

T = TypeVar("T")
Wanted = tuple[str, str, str, str]
"""Candidate, kind, dimension, value."""


class SliceExamples(msgspec.Struct, frozen=True, kw_only=True):
    """Examples of one slice of one candidate. `command` shows them whole; `note` says why there are fewer than three."""

    candidate: str
    kind: str
    dimension: str
    value: str
    command: str
    found: tuple[Disagreement, ...]
    note: str = ""


def wanted_of(cut: Slices | None, asked: Sequence[tuple[str, str]], *, candidates: Sequence[str]) -> tuple[Wanted, ...]:
    """The slices that examples are looked for: those people asked for, and those with the strongest evidence."""
    first = cut.first if cut is not None else ()
    here = [_wanted(one) for one in first if (one.dimension, one.value) in asked]
    known = {(one[0], one[2], one[3]) for one in here}
    more = [(name, DISAGREEMENT, *named) for named in asked for name in candidates if (name, *named) not in known]
    # A slice in which the candidate does well needs no example.
    harmful = [_wanted(one) for one in first if one.direction in ("worse", "more")]
    return tuple(dict.fromkeys([*here, *more, *harmful[:SLICES]]))


def _wanted(one: Slice) -> Wanted:
    return one.candidate, one.kind, one.dimension, one.value


def chosen(
    rows: Iterable[tuple[T, Requested]], dimensions: Sequence[Dimension], *, wanted: Sequence[tuple[str, str, str]]
) -> dict[tuple[str, str, str], list[T]]:
    """The first EACH of what is kept beside a request, for every wanted candidate, dimension and value."""
    found: dict[tuple[str, str, str], list[T]] = {one: [] for one in wanted}
    seen: set[tuple[object, ...]] = set()
    open_ = set(wanted)
    for kept, asked in rows:
        if not open_:
            break
        for named in slices_of(dimensions, _asked(asked, dimensions)):
            key = (asked.candidate, *named)
            # The same question again is the same example; a question without a body is told from others by its id.
            question = (key, asked.request.body or asked.id)
            if key in open_ and question not in seen:
                seen.add(question)
                found[key].append(kept)
                open_ -= {key} if len(found[key]) == EACH else set()
    return found


def slice_command(route: str, named: tuple[str, str], *, rollout: int) -> str:
    """What shows the examples of a slice."""
    dimension, value = named
    return f"modelctl report {shlex.quote(route)} --rollout {rollout} --slice {shlex.quote(f'{dimension}={value}')}"


def examples_of(wanted: Wanted, found: Sequence[Disagreement], *, command: str) -> SliceExamples:
    """The examples of one slice."""
    candidate, kind, dimension, value = wanted
    are = "is" if len(found) == 1 else "are"
    note = "" if len(found) == EACH else f"{len(found)} of its kind {are} among the newest recorded requests."
    return SliceExamples(
        candidate=candidate, kind=kind, dimension=dimension, value=value, command=command, found=tuple(found), note=note
    )


def _asked(one: Requested, dimensions: Sequence[Dimension]) -> Asked:
    headers = msgspec.json.decode(one.headers, type=dict[str, str]) if one.headers else {}
    document: object = ABSENT
    if wants_document(dimensions):
        encoding = one.request.encoding.encode("latin-1", "replace")
        document = document_of(Request(b"", b"", b"", encoding, one.request.body, one.request.size))
    return Asked({name.lower(): text for name, text in headers.items()}, document, one.at)
