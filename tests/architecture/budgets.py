"""How long files and functions may be, how many parameters a function may have, and that every one says what it returns."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median

from tests.architecture.sources import Function, Source, functions

FILE_LINES = 400
MEDIAN_FILE_LINES = 150
FUNCTION_LINES = 60
MEDIAN_FUNCTION_LINES = 8
PARAMETERS = 6
POSITIONAL = 2

_FIELD_RULES = (("head", "name", "value"), ("upstream", "name", "value"), ("upstream", "line", "value"))

# The reason for each kind of function that takes more than two parameters by position, and how it is known.
POSITIONAL_BY_NECESSITY: Mapping[str, Callable[[Function], bool]] = {
    "Python's with statement passes them": lambda one: one.node.name in ("__exit__", "__aexit__"),
    "the ASGI specification passes them": lambda one: (
        one.node.name == "__call__" and one.positional == ("scope", "receive", "send")
    ),
    "a table of rules by field name calls them once per header field, where keywords would cost": lambda one: (
        one.source.module in ("modelctl.router.head", "modelctl.router.upstream") and one.positional in _FIELD_RULES
    ),
}


def long_files(sources: Sequence[Source]) -> list[str]:
    """Files over the limit. A revision of the schema is as long as the schema."""
    lengths = ((source.path, len(source.text.splitlines())) for source in sources if ".migrations.versions." not in source.module)
    return [f"{path}: {lines} lines, the limit is {FILE_LINES}" for path, lines in lengths if lines > FILE_LINES]


def long_on_the_whole(sources: Sequence[Source]) -> list[str]:
    """Whether the files or the functions are too long at the median."""
    middle = {
        f"the median file may have {MEDIAN_FILE_LINES} lines": (
            [len(source.text.splitlines()) for source in sources],
            MEDIAN_FILE_LINES,
        ),
        f"the median function may have {MEDIAN_FUNCTION_LINES} lines": (
            [one.lines for one in functions(sources)],
            MEDIAN_FUNCTION_LINES,
        ),
    }
    return [f"{promise}, it has {median(found):g}" for promise, (found, limit) in middle.items() if found and median(found) > limit]


def long_functions(sources: Sequence[Source]) -> list[str]:
    """Functions over the limit."""
    found = (one for one in functions(sources) if one.lines > FUNCTION_LINES)
    return [f"{one.place}: {one.lines} lines, the limit is {FUNCTION_LINES}" for one in found]


def crowded_functions(sources: Sequence[Source]) -> list[str]:
    """Functions with so many parameters that a noun is missing."""
    found = ((one, len(one.positional + one.named)) for one in functions(sources))
    return [f"{one.place}: {count} parameters, the limit is {PARAMETERS}" for one, count in found if count > PARAMETERS]


def positional_functions(sources: Sequence[Source]) -> list[str]:
    """Functions whose third parameter and those behind it can be passed without their names."""
    return [
        f"{one.place}: ({', '.join(one.positional)}) must be keyword-only after the first {POSITIONAL}"
        for one in functions(sources)
        if len(one.positional) > POSITIONAL and not any(needed(one) for needed in POSITIONAL_BY_NECESSITY.values())
    ]


def idle_exceptions(sources: Sequence[Source]) -> list[str]:
    """Exceptions to the rule on positional parameters that no function needs any more."""
    found = tuple(functions(sources))
    return [
        f"no function needs the exception: {why}" for why, needed in POSITIONAL_BY_NECESSITY.items() if not any(map(needed, found))
    ]


def unannotated_returns(sources: Sequence[Source]) -> list[str]:
    """Functions that do not say what they return."""
    return [f"{one.place}: says not what it returns" for one in functions(sources) if one.node.returns is None]
