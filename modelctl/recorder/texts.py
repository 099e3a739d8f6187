"""Text from the wire in a form that both databases store."""

from functools import lru_cache

_SHORT = 64


def storable(text: str) -> str:
    """`text` without what PostgreSQL cannot store: NUL becomes U+FFFD, a lone surrogate its escape."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "�").encode("utf-8", "backslashreplace").decode()


def text_from(raw: bytes) -> str:
    """Bytes from the wire as text: UTF-8, and what is not as `\\xff`."""
    if not raw:
        return ""
    return storable(raw.decode("utf-8", "backslashreplace"))


@lru_cache(maxsize=4096)
def _repeated(raw: bytes) -> str:
    return text_from(raw)


def often(raw: bytes) -> str:
    """What `text_from` gives, for bytes that come again and again: methods, paths, content types."""
    return _repeated(raw) if len(raw) <= _SHORT else text_from(raw)
