"""What the fast model servers of these tests answer: computed from the model's name and the body, so anyone can check it."""

from zlib import crc32

LABELS = ("benign", "malignant", "unclear")


def label_of(model: str, body: bytes) -> str:
    """The label that the model `model` gives to the request body `body`."""
    return LABELS[crc32(model.encode() + body) % len(LABELS)]
