"""What may be asked for, made from the nouns themselves, so that it cannot drift from them. Pure.

A noun of the routing table takes no offence at fields it does not know, so that newer tables can have more; what people ask for
must not hold a field nobody knows, at any depth, because a misspelt policy would be a missing one.
"""

from collections.abc import Callable, Collection, Iterator
from functools import cache, reduce
from operator import or_
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, UNSET, Struct, UnsetType
from msgspec.structs import FieldInfo

from modelctl.errors import InvalidInput

T = TypeVar("T", bound=Struct)


def strict(noun: type[T]) -> type[T]:
    """`noun` as it is asked for: a subclass of it that knows its fields and no others, at any depth."""
    made: type[T] = _strict(noun)
    return made


def partial(noun: type[Struct], *, without: Collection[str] = ()) -> type[Struct]:
    """Changes of `noun`: any of its fields but those in `without`, at any depth, in the manner of a JSON Merge Patch (RFC 7396)."""
    fields = [
        (field.name, _each(field.type, partial, items=_strict) | None | UnsetType, UNSET)
        for field in msgspec.structs.fields(noun)
        if field.name not in without
    ]
    made: type[Struct] = _defined(f"{_bare(noun)}Changes", fields, noun=noun)
    return made


def merged(current: T, changes: Struct) -> T:
    """`current` with the fields that `changes` (made by `partial`) names; objects are merged, lists are replaced.

    Null stands for nothing where a field may be nothing, and for the field's default where it may not. Raises InvalidInput.
    """
    return _merged(type(current), current, changes=changes)


def differences(before: T, after: T) -> dict[str, Any]:
    """What a history tells of a change: the fields that differ by their place, such as `tls.verify`, with both values."""
    return dict(_differing(msgspec.to_builtins(before), msgspec.to_builtins(after), within=""))


@cache
def _strict(noun: type[Struct]) -> Any:  # noqa: ANN401 a subclass of the noun
    """The same type each time: two of one name would have no names in the API's schema."""
    fields = [(field.name, _each(field.type, _strict), _default_of(field)) for field in msgspec.structs.fields(noun)]
    return _defined(f"New{_bare(noun)}", fields, noun=noun, bases=(noun,))


def _differing(old: dict[str, Any], new: dict[str, Any], *, within: str) -> Iterator[tuple[str, Any]]:
    for name in old:
        if isinstance(old[name], dict) and isinstance(new[name], dict):
            yield from _differing(old[name], new[name], within=f"{within}{name}.")
        elif old[name] != new[name]:
            yield f"{within}{name}", {"from": old[name], "to": new[name]}


def _merged(noun: type[T], current: T | None, *, changes: Struct) -> T:
    values = {field.name: _value(field, current, changes=changes) for field in msgspec.structs.fields(noun)}
    missing = [name for name, value in values.items() if value is NODEFAULT]
    if missing:
        raise InvalidInput(f"{noun.__name__.lower()} needs {' and '.join(missing)}, which was never said")
    return noun(**values)


def _value(field: FieldInfo, current: Struct | None, *, changes: Struct) -> object:
    given = getattr(changes, field.name, UNSET)
    before = _default_value(field) if current is None else getattr(current, field.name)
    if given is UNSET:
        return before
    if given is None:
        return None if type(None) in get_args(field.type) else _default_value(field)
    if isinstance(given, Struct):
        return _merged(_noun_in(field.type), before if isinstance(before, Struct) else None, changes=given)
    return given


def _each(annotation: Any, turned: Callable[[Any], Any], *, items: Callable[[Any], Any] | None = None) -> Any:  # noqa: ANN401
    """The annotation with every noun in it `turned`; those in a tuple by `items`, if that is given."""
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return turned(annotation)
    arguments = get_args(annotation)
    if get_origin(annotation) in (Union, UnionType):
        return reduce(or_, (_each(one, turned, items=items) for one in arguments))
    if get_origin(annotation) is tuple:
        inner = tuple(one if one is Ellipsis else _each(one, items or turned) for one in arguments)
        return tuple.__class_getitem__(inner)
    return annotation


def _noun_in(annotation: Any) -> type[Struct]:  # noqa: ANN401 an annotation
    among = get_args(annotation) or (annotation,)
    return next(one for one in among if isinstance(one, type) and issubclass(one, Struct))


def _default_of(field: FieldInfo) -> object:
    if field.default_factory is not NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return field.default


def _default_value(field: FieldInfo) -> object:
    return field.default if field.default_factory is NODEFAULT else field.default_factory()


def _bare(noun: type[Struct]) -> str:
    return noun.__name__.removeprefix("New")


def _defined(name: str, fields: list[Any], *, noun: type[Struct], bases: tuple[type[Struct], ...] = ()) -> Any:  # noqa: ANN401
    """A struct type with the words of `noun`; a field whose default is NODEFAULT must be given."""
    return msgspec.defstruct(
        name,
        [field[:2] if field[2] is NODEFAULT else field for field in fields],
        bases=bases or None,
        namespace={"__doc__": noun.__doc__},
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )
