"""Names that say nothing, notes of unfinished work, tests that replace what they test, and the drawn tree of errors."""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tests.architecture.sources import Source

EMPTY_WORDS = frozenset({"util", "utils", "helper", "helpers", "common", "manager", "managers", "base"})
_UNFINISHED = re.compile("TODO|FIXME|XXX|NotImplemented(Error)?")
_SKIPS = re.compile(r"(pytest|mark)\.(skip|skipif|xfail|importorskip)")
_REPLACEMENTS = frozenset({"monkeypatch.setattr", "monkeypatch.delattr", "monkeypatch.setitem", "monkeypatch.delitem"})
_MOCKS = frozenset({"mock", "unittest.mock", "pytest_mock"})
_TREE_LINE = re.compile(r"( {4,})([A-Z]\w+)( .*)?")


def empty_names(sources: Sequence[Source]) -> list[str]:
    """Modules and classes that are named after no noun."""
    faults = []
    for source in sources:
        if EMPTY_WORDS & set(source.module.replace("_", ".").lower().split(".")):
            faults.append(f"{source.path}: name the module after what it holds")
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef) and EMPTY_WORDS & set(_words(node.name)):
                faults.append(f"{source.at(node)}: name the class {node.name} after what it is")
    return faults


def _words(name: str) -> list[str]:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name).lower().split()


def unfinished(sources: Sequence[Source]) -> list[str]:
    """Notes in comments and docstrings of what is to be done, and code that says it is not there yet."""
    return [f"{source.path}:{line}: {word} is no finished work" for source in sources for line, word in _unfinished(source)]


def _unfinished(source: Source) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
        prose = token.type == tokenize.COMMENT or token.string.startswith('"""')
        found = _UNFINISHED.search(token.string) if prose else None
        if token.type == tokenize.NAME:
            found = re.fullmatch("NotImplemented(Error)?", token.string)
        if found:
            yield token.start[0], found[0]


def doubtful_tests(sources: Sequence[Source]) -> list[str]:
    """Tests that replace this project's own objects, and tests that do not run."""
    return [fault for source in sources for fault in _doubtful(source)]


def _doubtful(source: Source) -> Iterator[str]:
    library = _library_names(source)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and _imported(node) & _MOCKS:
            yield f"{source.at(node)}: mocks stand for what should be tested"
        if isinstance(node, ast.arg) and node.arg == "mocker":
            yield f"{source.at(node)}: mocks stand for what should be tested"
        if isinstance(node, ast.Attribute) and _SKIPS.search(ast.unparse(node)):
            yield f"{source.at(node)}: a test that does not run tests nothing"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in _REPLACEMENTS and not _is_library(node, library):
            yield f"{source.at(node)}: only objects of the standard library may be replaced"


def _imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    return {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}


def _library_names(source: Source) -> set[str]:
    """The names in `source` that are bound to modules of the standard library."""
    found = (alias for node in ast.walk(source.tree) if isinstance(node, ast.Import) for alias in node.names)
    return {alias.asname or alias.name for alias in found if alias.name.partition(".")[0] in sys.stdlib_module_names}


def _is_library(call: ast.Call, library: set[str]) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Name) and call.args[0].id in library


class Drawn(NamedTuple):
    """One class of the tree in the docstring of errors.py: its name and that of the class it stands under."""

    name: str
    parent: str


def drawn_errors(docstring: str) -> list[Drawn]:
    """The tree that `docstring` draws with its indentation."""
    found: list[Drawn] = []
    above: list[tuple[int, str]] = []
    for match in filter(None, map(_TREE_LINE.fullmatch, docstring.splitlines())):
        indent, name = len(match[1]), match[2]
        above = [(depth, other) for depth, other in above if depth < indent]
        found.append(Drawn(name, above[-1][1] if above else "Exception"))
        above.append((indent, name))
    return found


def misdrawn_errors(sources: Sequence[Source]) -> list[str]:
    """Where errors.py and its docstring differ, and classes without a code of their own."""
    source = next(source for source in sources if source.module == "modelctl.errors")
    classes = [node for node in source.tree.body if isinstance(node, ast.ClassDef)]
    drawn = drawn_errors(ast.get_docstring(source.tree, clean=False) or "")
    written = [Drawn(node.name, ast.unparse(node.bases[0]) if node.bases else "object") for node in classes]
    faults = [f"{one.name}({one.parent}) is drawn and not written" for one in drawn if one not in written]
    faults += [f"{one.name}({one.parent}) is written and not drawn" for one in written if one not in drawn]
    codes = [_code(node) for node in classes]
    faults += [f"{node.name} has no code" for node, code in zip(classes, codes, strict=True) if not code]
    return faults + [
        f"the code {code!r} is that of several errors" for code in sorted(set(codes)) if code and codes.count(code) > 1
    ]


def _code(node: ast.ClassDef) -> str:
    for line in node.body:
        if isinstance(line, ast.AnnAssign) and ast.unparse(line.target) == "code" and isinstance(line.value, ast.Constant):
            return str(line.value.value)
    return ""
