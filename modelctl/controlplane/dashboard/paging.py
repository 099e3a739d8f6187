"""Parts of a list that is held whole. Pure."""

from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")

PAGE = 25


class Part(msgspec.Struct, Generic[T], frozen=True):
    """Page `page` of `pages` (both from 1) of `total` items."""

    items: Sequence[T]
    page: int
    pages: int
    total: int


def part_of(items: Sequence[T], wanted: str) -> Part[T]:
    """The page that `wanted` names; the nearest one there is for any other text."""
    pages = max(1, -(-len(items) // PAGE))
    page = min(int(wanted), pages) if wanted.isdecimal() and 0 < len(wanted) < 9 and int(wanted) else 1
    return Part(items[(page - 1) * PAGE : page * PAGE], page, pages, len(items))
