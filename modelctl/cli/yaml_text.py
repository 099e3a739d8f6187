"""JSON values as block YAML 1.2.

Strings are always in double quotes, as JSON writes them, which YAML reads the same: nothing can turn into a number, a date
or a boolean on the way.
"""

import msgspec


def yaml_text(value: object) -> str:
    """The YAML document of a JSON value, with a line end behind it."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: object) -> list[str]:
    if isinstance(value, dict) and value:
        return [line for key, item in value.items() for line in _entry(f"{_scalar(str(key))}:", item)]
    if isinstance(value, list) and value:
        return [line for item in value for line in _item(item)]
    return [_scalar(value)]


def _entry(key: str, value: object) -> list[str]:
    """A mapping's entry: its value on the same line when it is one word, else below it and indented."""
    if isinstance(value, dict | list) and value:
        return [key, *(f"  {line}" for line in _lines(value))]
    return [f"{key} {_scalar(value)}"]


def _item(value: object) -> list[str]:
    first, *rest = _lines(value)
    return [f"- {first}", *(f"  {line}" for line in rest)]


def _scalar(value: object) -> str:
    return msgspec.json.encode(value).decode()
