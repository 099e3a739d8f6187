"""What the API calls a field of a conduct, in the words of the command line. Pure."""

import re
from collections.abc import Mapping
from types import MappingProxyType

OPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "min_n": "--min-n",
        "max_n": "--max-n",
        "max_shown": "--max-shown",
        "min_ms": "--min-time",
        "max_ms": "--max-time",
        "bake_ms": "--bake",
        "watch_ms": "--watch",
        "for_ms": "--for",
        "ceiling_bp": "--ceiling",
        "at_end": "--at-end",
    }
)

# Before its limits a field keeps its name: they are in the field's unit, such as milliseconds, not in the option's.
_FIELD = re.compile(rf"(?<![\w.-])(?:{'|'.join(OPTIONS)})\b(?! must be)")


def as_typed(sentence: str) -> str:
    """The sentence with the options that people type in place of the fields that programs send."""
    return _FIELD.sub(lambda found: OPTIONS[found.group()], sentence)
