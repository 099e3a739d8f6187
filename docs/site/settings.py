"""Every setting: default and range from the code, meaning from docs/cli.md."""

import msgspec

from docs.site.commands import leaves
from docs.site.text import code, table, written_rows
from modelctl.settings import PREFIX, RANGES, Settings

_HEADS = ("variable", "option", "default", "range", "meaning")


def markdown() -> str:
    """All settings in the order of the code."""
    meanings = written_rows("cli.md", "Settings of `modelctl serve`")
    return table(_HEADS, [_row(field, meanings) for field in msgspec.structs.fields(Settings)])


def _row(field: msgspec.structs.FieldInfo, meanings: dict[str, str]) -> list[str]:
    variable, option = PREFIX + field.name.upper(), f"--{field.name.replace('_', '-')}"
    taken = {name for words, command in leaves() if words == ("serve",) for one in command.params for name in one.opts}
    low, high = RANGES.get(field.name, ("", ""))
    span = f"{low} to {high}" if low != "" else ""
    meaning = meanings[variable].replace("](", "](../").replace("](../#", "](../cli.md#")
    return [code(variable), code(option if option in taken else ""), code(_shown(field.default)), span, meaning]


def _shown(default: object) -> str:
    if default == ():
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)
