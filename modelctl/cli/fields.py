"""An object of the API as lines a person can read: one field a line, policies in words."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from modelctl.cli.quantities import moment, shown_duration, shown_size

# What null says, by the name of the field: not that something is unknown, but what happens.
_NOTHING: Mapping[str, str] = {
    "health": "as its kind asks for",
    "checks": "none",
    "ejection": "off",
    "retries": "off",
    "breaker": "off",
    "admission.rate": "no limit",
}
_EMPTY: Mapping[str, str] = {
    "admission.keys": "none: everybody may ask",
    "admission.body_bytes": "the router's own limit",
    "tls.ca": "the system's authorities",
    "tls.server_name": "the host of the URL",
}
_BY_END: Mapping[str, Callable[[Any], str]] = {
    "_ms": lambda value: f"{value} ({shown_duration(value)})" if value >= 1_000 else str(value),
    "_bytes": lambda value: f"{value} ({shown_size(value)})" if value >= 1_024 else str(value),
    "_at": moment,
}


def field_rows(thing: Mapping[str, Any], *, within: str = "") -> Iterator[list[str]]:
    """Name and value of every field, those of an inner object by their place: `tls.verify`."""
    for name, value in thing.items():
        place = f"{within}.{name}" if within else name
        if isinstance(value, dict) and value:
            yield from field_rows(value, within=place)
        else:
            yield [place, _worded(place, value)]


def plain(value: object) -> str:
    """A value of the API in one cell."""
    if value is None:
        return "-"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value) or "-"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _worded(place: str, value: object) -> str:
    if value is None:
        return _NOTHING.get(place, "-")
    if place == "tls.verify":
        return "yes" if value else "NO: any certificate is trusted"
    if place == "admission.keys" and value and isinstance(value, list):
        return ", ".join(key["name"] for key in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not value and place in _EMPTY:
        return _EMPTY[place]
    worded = next((words for end, words in _BY_END.items() if place.endswith(end)), None)
    return worded(value) if worded is not None and isinstance(value, int) else plain(value) or "-"
