"""Text from the wire in a form that both databases store."""


def storable(text: str) -> str:
    """`text` without what PostgreSQL cannot store: NUL becomes U+FFFD, a lone surrogate its escape."""
    if "\0" in text:
        text = text.replace("\0", "�")
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def text_from(raw: bytes) -> str:
    """Bytes from the wire as text: UTF-8, and what is not as `\\xff`."""
    return storable(raw.decode("utf-8", "backslashreplace"))
