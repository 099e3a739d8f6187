"""The JSON document in a body, or the sign that there is none. Pure."""

from modelctl.errors import ModelctlError
from modelctl.evidence import Answer, Request
from modelctl.kinds.answer_body import decoded, parsed


class Absent:
    """Stands for a body that is no JSON document, or was not recorded whole."""


ABSENT = Absent()


def document_of(message: Answer | Request) -> object:
    """The JSON document in a body; ABSENT without one."""
    if not message.size:
        return ABSENT
    try:
        return parsed(decoded(message))
    except ModelctlError:
        return ABSENT
