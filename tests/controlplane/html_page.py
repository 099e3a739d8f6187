"""A page as a browser builds it: its elements in order, its tables as cells, and everything it would ask a network for."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple

VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})
RAW = frozenset({"style", "script"})


class Element:
    """One element with its attributes, and its children in order."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: "Element | None") -> None:
        self.tag = tag
        self.attributes = attributes
        self.parent = parent
        self.children: list[Element | str] = []

    @property
    def text(self) -> str:
        """All words in it."""
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def walk(self) -> "Iterator[Element]":
        """It and everything in it, in order."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def all(self, tag: str) -> "list[Element]":
        """Every element of that name in it."""
        return [one for one in self.walk() if one.tag == tag]

    def one(self, tag: str) -> "Element":
        """The first of that name."""
        return self.all(tag)[0]


class Table(NamedTuple):
    """A table's cells as text."""

    caption: str
    columns: list[str]
    rows: list[list[str]]


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("#root", {}, None)
        self.here = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        made = Element(tag, {name: value or "" for name, value in attrs}, self.here)
        self.here.children.append(made)
        if tag not in VOID:
            self.here = made

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.here.children.append(Element(tag, {name: value or "" for name, value in attrs}, self.here))

    def handle_endtag(self, tag: str) -> None:
        assert self.here.tag == tag, f"</{tag}> ends <{self.here.tag}>"
        assert self.here.parent is not None
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        self.here.children.append(data)


def page_of(text: str) -> Element:
    """The page; every element is closed where it must be."""
    builder = _Builder()
    builder.feed(text)
    builder.close()
    assert builder.here is builder.root, f"<{builder.here.tag}> is never closed"
    return builder.root


def tables_of(root: Element) -> list[Table]:
    """All tables in order."""
    return [_table(one) for one in root.all("table")]


def _table(found: Element) -> Table:
    head, *body = [[cell.text for cell in row.walk() if cell.tag in ("th", "td")] for row in found.all("tr")]
    return Table(found.one("caption").text, head, body)
