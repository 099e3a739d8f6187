"""The project's source files as syntax trees: nothing is imported to judge it."""

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

Definition = ast.FunctionDef | ast.AsyncFunctionDef


class Source(NamedTuple):
    """One file. `module` is its dotted name, `path` how a fault names it."""

    module: str
    path: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """What relative imports start from."""
        return self.module if self.path.endswith("__init__.py") else self.module.rpartition(".")[0]

    def at(self, node: ast.AST) -> str:
        """Where `node` is, for a fault."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


class Import(NamedTuple):
    """One module that a file imports, whether at run time or for its types alone."""

    place: str
    target: str


class Function(NamedTuple):
    """One function. `positional` and `named` leave out self and cls; `*rest` counts as one of its kind."""

    source: Source
    node: Definition
    positional: tuple[str, ...]
    named: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where it is and what it is called, for a fault."""
        return f"{self.source.at(self.node)} {self.node.name}"

    @property
    def lines(self) -> int:
        """Its length without decorators."""
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1


def read_sources(package: Path) -> tuple[Source, ...]:
    """Every Python file below `package`, in the order of their names."""
    return tuple(_read(path, package.parent) for path in sorted(package.rglob("*.py")))


def _read(path: Path, root: Path) -> Source:
    text = path.read_text(encoding="utf-8")
    relative = path.relative_to(root)
    module = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
    return Source(module, str(relative), text, ast.parse(text, str(relative)))


def imports(source: Source, known: frozenset[str]) -> Iterator[Import]:
    """What `source` imports, wherever it does. `known` holds the project's modules: `from a import b` may import `a.b`."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from (Import(source.at(node), alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(source, node)
            for alias in node.names:
                submodule = f"{base}.{alias.name}"
                yield Import(source.at(node), submodule if submodule in known else base)


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    parts = source.package.split(".")
    return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])


def modules(sources: Sequence[Source]) -> frozenset[str]:
    """The names of the project's modules."""
    return frozenset(source.module for source in sources)


def functions(sources: Sequence[Source]) -> Iterator[Function]:
    """Every function and method, nested ones too."""
    for source in sources:
        methods = {id(child) for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef) for child in node.body}
        for node in ast.walk(source.tree):
            if isinstance(node, Definition):
                yield _function(source, node, method=id(node) in methods)


def _function(source: Source, node: Definition, *, method: bool) -> Function:
    given = node.args
    positional = [argument.arg for argument in [*given.posonlyargs, *given.args]]
    if method and not any(isinstance(mark, ast.Name) and mark.id == "staticmethod" for mark in node.decorator_list):
        positional = positional[1:]
    rest = [f"*{given.vararg.arg}"] if given.vararg else []
    named = [argument.arg for argument in given.kwonlyargs] + ([f"**{given.kwarg.arg}"] if given.kwarg else [])
    return Function(source, node, tuple(positional + rest), tuple(named))
