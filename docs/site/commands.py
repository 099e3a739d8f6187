"""Every command with its arguments, options, defaults and examples, as `--help` has them."""

import re
from collections.abc import Iterator

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.main import get_command

from docs.site.text import code, codes, table
from modelctl.cli import app

_HEADS = ("option", "default", "meaning")


def leaves(group: TyperGroup | None = None, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    """Every command that does something, with its words. Aliases come too."""
    for name, child in (root() if group is None else group).commands.items():
        if isinstance(child, TyperGroup):
            yield from leaves(child, (*words, name))
        elif isinstance(child, TyperCommand):
            yield (*words, name), child


def root() -> TyperGroup:
    """The program as typer sees it."""
    found = get_command(app)
    if not isinstance(found, TyperGroup):
        raise TypeError(f"{found!r} has no commands")
    return found


def markdown() -> str:
    """All of them. An alias stands with the command it is another name of."""
    found = list(leaves())
    shown = [(words, command) for words, command in found if not command.hidden]
    return "\n\n".join(_section(words, command, others=_aliases(command, found)) for words, command in shown)


def _aliases(command: TyperCommand, every: list[tuple[tuple[str, ...], TyperCommand]]) -> list[str]:
    return [" ".join(words) for words, other in every if other.hidden and other.epilog == command.epilog]


def _section(words: tuple[str, ...], command: TyperCommand, *, others: list[str]) -> str:
    context = command.context_class(command, info_name=f"modelctl {' '.join(words)}")
    usage = f"```\n{command.get_usage(context).removeprefix('Usage: ')}\n```"
    parts = [f"## {' '.join(words)}", (command.help or "").strip(), usage]
    if others:
        parts.append(f"Also {codes(f'modelctl {name}' for name in others)}.")
    arguments = [_argument(one) for one in command.params if isinstance(one, TyperArgument)]
    options = [_option(one) for one in command.params if isinstance(one, TyperOption) and not one.hidden]
    examples = re.findall(r"^\$ (.+)$", command.epilog or "", re.MULTILINE)
    rows = [*arguments, *options]
    parts += [table(_HEADS, rows)] if rows else []
    return "\n\n".join([*parts, "```\n" + "\n".join(examples) + "\n```"])


def _argument(one: TyperArgument) -> list[str]:
    return [code((one.name or "").upper()), _default(one), one.help or ""]


def _option(one: TyperOption) -> list[str]:
    names = codes([*one.opts, *one.secondary_opts])
    more = [one.help or "", "Repeatable." if one.multiple else "", f"Environment: {code(one.envvar)}." if one.envvar else ""]
    return [names, _default(one), " ".join(filter(None, more))]


def _default(one: TyperArgument | TyperOption) -> str:
    if one.required:
        return "required"
    default = one.default
    return "" if default in (None, False, True, "", (), []) or callable(default) else code(default)
