"""Who may import whom, what each part may use, and what the pure parts must not touch."""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence

from tests.architecture.sources import Source, imports, modules

NOUNS = frozenset(
    {
        "endpoint",
        "policy",
        "settings",
        "traffic",
        "quantity",
        "rule",
        "metric",
        "gate",
        "conduct",
        "freeze",
        "rollout",
        "evidence",
        "counts",
        "log_line",
    }
)
_ALL_NOUNS = frozenset({"errors", "latency", "nouns"})

# A part's own modules are always allowed. `version` is modelctl/__init__.py, `nouns` are the files named above.
MAY_IMPORT: Mapping[str, frozenset[str]] = {
    "version": frozenset(),
    "errors": frozenset(),
    "latency": frozenset(),
    "nouns": frozenset({"errors"}),
    "kinds": _ALL_NOUNS,
    "statistics": frozenset({"errors", "latency"}),
    "store": _ALL_NOUNS,
    "migrations": frozenset({"store"}),
    "recorder": _ALL_NOUNS | {"kinds", "store"},
    "parquet": _ALL_NOUNS | {"store"},
    "tracing": _ALL_NOUNS | {"recorder", "version"},
    "controlplane": _ALL_NOUNS | {"kinds", "statistics", "store", "version"},
    "router": _ALL_NOUNS,
    "supervisor": _ALL_NOUNS,
    "demo": _ALL_NOUNS,
    "cli": _ALL_NOUNS | {"version"},
    "__main__": frozenset({"cli"}),
}

MAY_USE: Mapping[str, frozenset[str]] = {
    "version": frozenset(),
    "errors": frozenset(),
    "latency": frozenset(),
    "nouns": frozenset({"msgspec"}),
    "kinds": frozenset({"msgspec", "jsonpath_rfc9535"}),
    "statistics": frozenset({"numpy", "scipy"}),
    "store": frozenset({"alembic", "msgspec", "sqlalchemy", "zstandard"}),
    "migrations": frozenset({"alembic", "sqlalchemy"}),
    "recorder": frozenset({"msgspec", "sqlalchemy"}),
    "tracing": frozenset({"opentelemetry"}),
    "parquet": frozenset({"msgspec", "pyarrow", "sqlalchemy"}),
    "controlplane": frozenset({"httpx", "jinja2", "msgspec", "sqlalchemy", "starlette", "uvicorn"}),
    "router": frozenset({"httptools", "msgspec", "uvloop"}),
    "supervisor": frozenset({"msgspec"}),
    "demo": frozenset({"httpx", "msgspec", "numpy", "starlette", "uvicorn"}),
    "cli": frozenset({"click", "httpx", "msgspec", "rich", "typer"}),
    "__main__": frozenset(),
}

# Inside the control plane: a folder's own modules are always allowed. `controlplane` are the modules beside the folders.
_JUDGED = frozenset({"controlplane", "judgement"})
_DECIDED = _JUDGED | {"automation"}
INSIDE: Mapping[str, frozenset[str]] = {
    "controlplane": frozenset(),
    "judgement": frozenset(),
    "planning": frozenset({"judgement"}),
    "automation": _JUDGED,
    "figures": frozenset(),
    "report": _DECIDED | {"figures"},
    "operations": _DECIDED | {"planning"},
    "backfill": frozenset({"controlplane", "operations"}),
    "acting": _DECIDED | {"operations"},
    "metrics": frozenset({"controlplane", "automation"}),
    "api": _DECIDED | {"planning", "report", "operations", "backfill", "acting", "metrics"},
    "dashboard": _DECIDED | {"planning", "report", "figures", "operations", "metrics", "api"},
    "__main__": frozenset({"api", "dashboard"}),
}

PURE = frozenset({"version", "errors", "latency", "nouns", "kinds", "statistics"})

# What the pure parts may use of the standard library: nothing here reads a clock, chance, the environment or a disk.
_PURE_LIBRARY = frozenset(
    {
        "bisect",
        "collections",
        "collections.abc",
        "dataclasses",
        "enum",
        "functools",
        "hashlib",
        "ipaddress",
        "itertools",
        "json",
        "math",
        "re",
        "struct",
        "types",
        "typing",
        "urllib.parse",
        "zlib",
    }
)
# Modules of which a little is pure: the file that may import them (or "" for any), and the names it may use.
_PURE_NAMES: Mapping[str, tuple[str, frozenset[str]]] = {
    "sys": ("", frozenset({"float_info"})),
    "pathlib": ("modelctl.settings", frozenset({"Path"})),
}
_IMPURE_CALLS = frozenset({"open", "print", "input", "eval", "exec", "compile", "__import__", "breakpoint"})
_IMPURE_METHODS = frozenset(
    {
        *("now", "utcnow", "today", "time", "random", "default_rng", "rvs"),
        *("absolute", "resolve", "cwd", "home", "expanduser", "samefile"),
        *("exists", "is_file", "is_dir", "is_symlink", "stat", "lstat", "iterdir", "glob", "rglob"),
        *("open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "rmdir", "unlink", "touch"),
        *("loadtxt", "savetxt", "fromfile", "tofile", "memmap"),
    }
)


def part_of(module: str) -> str:
    """The part a module belongs to, by its second name."""
    second = module.split(".")[1] if "." in module else "version"
    return "nouns" if second in NOUNS else second


def unknown_parts(sources: Sequence[Source]) -> list[str]:
    """Files that stand in no part of the design."""
    parts = ((source.path, part_of(source.module)) for source in sources)
    return [f"{path}: the design has no part {part!r}" for path, part in parts if part not in MAY_IMPORT]


def forbidden_imports(sources: Sequence[Source]) -> list[str]:
    """Imports of a part from one that does not stand to its right."""
    faults = []
    known = modules(sources)
    for source in sources:
        part = part_of(source.module)
        for place, target in imports(source, known):
            wanted = part_of(target) if target.partition(".")[0] == "modelctl" else part
            if wanted != part and wanted not in MAY_IMPORT.get(part, frozenset()):
                faults.append(f"{place}: {part} must not import {wanted} ({target})")
    return faults


def folder_of(module: str) -> str:
    """The folder of the control plane that a module stands in; empty for a module of another part."""
    parts = module.split(".")
    if part_of(module) != "controlplane":
        return ""
    beside = len(parts) < 4 and ".".join(parts[2:]) not in INSIDE
    return "controlplane" if beside else parts[2]


def backward_imports(sources: Sequence[Source]) -> list[str]:
    """Imports inside the control plane from a folder that comes later: a verdict knows of no report, and nothing knows the API."""
    faults = []
    known = modules(sources)
    for source in sources:
        folder = folder_of(source.module)
        for place, target in imports(source, known) if folder else ():
            wanted = folder_of(target) or folder
            if wanted != folder and wanted not in INSIDE.get(folder, frozenset()):
                faults.append(f"{place}: {folder} must not import {wanted} ({target})")
    return faults


def forbidden_packages(sources: Sequence[Source]) -> list[str]:
    """Third-party packages that a part must do without."""
    return [
        f"{place}: {part_of(source.module)} must not use {package}"
        for source in sources
        for place, package in packages(source)
        if package not in MAY_USE.get(part_of(source.module), frozenset())
    ]


def packages(source: Source) -> Iterator[tuple[str, str]]:
    """Each third-party package that `source` imports, and where."""
    for place, target in imports(source, frozenset()):
        package = target.partition(".")[0]
        if package != "modelctl" and package not in sys.stdlib_module_names:
            yield place, package


def cycles(sources: Sequence[Source]) -> list[str]:
    """Groups of modules that import each other."""
    known = modules(sources)
    reached = {source.module: {target for _, target in imports(source, known) if target in known} for source in sources}
    for middle in reached:
        for targets in reached.values():
            targets.update(reached[middle] if middle in targets else ())
    looping = [module for module, targets in reached.items() if module in targets]
    groups = {tuple(sorted(b for b in looping if b in reached[a] and a in reached[b])) for a in looping}
    return [f"these modules import each other: {', '.join(group)}" for group in sorted(groups)]


def lazy_imports(sources: Sequence[Source]) -> list[str]:
    """Imports inside functions and classes, and imports by name."""
    faults = set()
    for source in sources:
        for scope in ast.walk(source.tree):
            if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = (node for node in ast.walk(scope) if isinstance(node, ast.Import | ast.ImportFrom))
                faults |= {f"{source.at(node)}: imports stand at the top of the file" for node in inside}
            if isinstance(scope, ast.Name) and scope.id == "__import__":
                faults.add(f"{source.at(scope)}: __import__ hides an import")
        faults |= {f"{at}: importlib hides imports" for at, name in imports(source, frozenset()) if name.startswith("importlib")}
    return sorted(faults)


def impurities(sources: Sequence[Source]) -> list[str]:
    """Where a pure part reads a clock, chance, the environment or a disk."""
    return [fault for source in sources if part_of(source.module) in PURE for fault in _impurities(source)]


def _impurities(source: Source) -> Iterator[str]:
    part = part_of(source.module)
    for place, target in imports(source, frozenset()):
        if target.partition(".")[0] in sys.stdlib_module_names and target not in _PURE_LIBRARY:
            only, _ = _PURE_NAMES.get(target, ("nowhere", frozenset()))
            if only not in ("", source.module):
                yield f"{place}: {part} is pure and must not import {target}"
    for node in ast.walk(source.tree):
        what = _impure(node)
        if what:
            yield f"{source.at(node)}: {part} is pure and must not use {what}"


def _impure(node: ast.AST) -> str:
    """What is impure about this node alone, or nothing."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _IMPURE_CALLS:
        return f"{node.func.id}()"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _IMPURE_METHODS:
        return f".{node.func.attr}()"
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and not _pure_name(node.value.id, node.attr):
        return f"{node.value.id}.{node.attr}"
    if isinstance(node, ast.ImportFrom):
        return ", ".join(alias.name for alias in node.names if not _pure_name(node.module or "", alias.name))
    return ""


def _pure_name(module: str, name: str) -> bool:
    if module in ("np", "numpy"):
        return name != "random"
    return module not in _PURE_NAMES or name in _PURE_NAMES[module][1]
