"""What a `set` command changes: the fields its options mean, and those that go back to their defaults."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from modelctl.errors import InvalidInput

Reset = Annotated[
    list[str] | None,
    typer.Option(metavar="FIELD", help="Put a field back to its default, by its name in `show`; repeatable."),
]


def change_of(fields: dict[str, Any], resets: Sequence[str]) -> dict[str, Any]:
    """The body of the change; a reset such as `retries` or `admission.rate` becomes a null.

    Raises InvalidInput when there is nothing to change, or one field is both set and reset.
    """
    change = fields
    for name in resets:
        change = _joined(change, _null_at(name))
    if not change:
        raise InvalidInput("say what to change: at least one option; --help lists them")
    return change


def named(change: dict[str, Any]) -> str:
    """The fields of a change in words: `retries, tls.verify`."""
    return ", ".join(_names(change))


def _null_at(name: str) -> dict[str, Any]:
    first, _, rest = name.partition(".")
    return {first: _null_at(rest) if rest else None}


def _joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    joined = dict(first)
    for name, value in second.items():
        if name in joined and joined[name] != value and not (isinstance(value, dict) and isinstance(joined[name], dict)):
            raise InvalidInput(f"{name} is both set and reset: do one of them")
        joined[name] = _joined(joined[name], value) if isinstance(joined.get(name), dict) else value
    return joined


def _names(change: dict[str, Any]) -> list[str]:
    found: list[str] = []
    for name, value in change.items():
        found += [f"{name}.{inner}" for inner in _names(value)] if isinstance(value, dict) and value else [name]
    return found
