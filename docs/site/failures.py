"""What goes wrong and how it is told: errors, exit codes, problems of the API, the router's own answers."""

import re
from collections.abc import Iterator
from http import HTTPStatus

from docs.site.text import code, table, written_rows
from modelctl import errors as tree
from modelctl.cli.exits import EXITS, Exit
from modelctl.controlplane.api.problems import CODES, STATUSES
from modelctl.errors import ModelctlError
from modelctl.router.refusal import Refusal


def every_error(root: type[ModelctlError] = ModelctlError) -> Iterator[type[ModelctlError]]:
    """The tree of errors from its root, each before those under it."""
    yield root
    for child in root.__subclasses__():
        yield from every_error(child)


def errors() -> str:
    """Every error with its code, its status over HTTP and the exit code of a command that meets it."""
    return table(("error", "code", "HTTP", "exit code", "meaning"), [_error(one) for one in every_error()])


def _error(one: type[ModelctlError]) -> list[str]:
    status = next((status for kind, status in STATUSES.items() if issubclass(one, kind)), HTTPStatus.INTERNAL_SERVER_ERROR)
    ending = next(rule.exit for rule in EXITS if issubclass(one, rule.error))
    return [code(one.__name__), code(one.code), str(status.value), str(int(ending)), _meaning(one)]


def _meaning(one: type[ModelctlError]) -> str:
    drawn = re.search(rf"^ {{4,}}{one.__name__} +(\S.*)$", tree.__doc__ or "", re.MULTILINE)
    return drawn[1] if drawn else (one.__doc__ or "").partition("\n")[0]


def exit_codes() -> str:
    """Every exit code with its meaning from docs/cli.md."""
    meanings = written_rows("cli.md", "Exit codes")
    return table(("code", "name", "meaning"), [(str(int(one)), code(one.name), meanings[str(int(one))]) for one in Exit])


def problems() -> str:
    """The problems of the API that are no error of the tree."""
    rows = [(str(status), code(word)) for status, word in CODES.items()]
    return table(("HTTP", "code"), [*rows, ("500", code("internal"))])


def refusals() -> str:
    """The answers that the router makes itself."""
    heads = ("code", "HTTP", "connection", "detail")
    return table(heads, [(code(one.code), str(one.status), "closed" if one.closes else "kept", one.detail) for one in Refusal])
