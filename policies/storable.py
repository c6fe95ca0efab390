"""Text from outside as every database takes it."""

from __future__ import annotations


def storable(text: str) -> str:
    """`text` without what PostgreSQL refuses to store: NUL, and halves of surrogate pairs.

    Strangers decide what their hosts say. A statement that is refused takes all others of its
    transaction with it, so no such text may get as far as that.
    """
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
