"""What the grammars of record and policy share (RFC 8461 sections 3.1 and 3.2).

Both are read as bytes, since text methods of Python are too kind: `splitlines` knows ten line
ends, `strip` thirty blanks, and `int` reads "٣", "+5" and "86_400".
"""

from __future__ import annotations

import re

WSP = b" \t"

NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
"""A field's name: sts-ext-name and sts-policy-ext-name alike."""

_QUOTED = 40


def to_bytes(text: str | bytes) -> bytes:
    """`text` as bytes. A lone surrogate turns into bytes that no strict reader accepts."""
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def quoted(data: bytes) -> str:
    """The beginning of `data` for an error message: printable, and short."""
    text = data[:_QUOTED].decode("utf-8", "backslashreplace")
    return repr(text) + ("…" if len(data) > _QUOTED else "")
