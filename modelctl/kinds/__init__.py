"""How each kind of model server speaks: where the prediction is in an answer, what counts as a failure, how it is probed."""

from collections.abc import Mapping

from modelctl.errors import InvalidInput
from modelctl.kinds.kind import Kind, Probe
from modelctl.kinds.outcome import Outcome
from modelctl.kinds.plain_json import PlainJson
from modelctl.kinds.v1 import V1
from modelctl.kinds.v2 import V2
from modelctl.kinds.value import Extraction, Value, text_of

_ALL: tuple[Kind, ...] = (
    PlainJson(),
    V1(),
    V2(),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ALL}


def kind_named(name: str) -> Kind:
    """The kind with this name. Raises InvalidInput, naming the known kinds."""
    kind = KINDS.get(name)
    if kind is None:
        raise InvalidInput(f"{name!r} is no kind of backend: use one of {', '.join(sorted(KINDS))}")
    return kind


__all__ = ["KINDS", "Extraction", "Kind", "Outcome", "Probe", "Value", "kind_named", "text_of"]
