"""Text from outside, made fit for databases, pages and I-JSON (RFC 7493 section 2.1)."""

from __future__ import annotations

import unicodedata

ELLIPSIS = "…"


def code(text: str, limit: int) -> str:
    """A code or name, at most `limit` characters; what cannot be printed stands there escaped.

    A byte that was no UTF-8 (a lone surrogate, as `surrogateescape` leaves it) becomes `\\xff`.
    """
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else _escaped(char) for char in shown)
    return shown if len(shown) <= limit else shown[: limit - 1] + ELLIPSIS


def line(text: str) -> str:
    """A line of a policy, as it is but for what I-JSON cannot carry, which is escaped."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(char) if _is_forbidden(char) else char for char in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def _is_forbidden(char: str) -> bool:
    number = ord(char)
    is_noncharacter = number & 0xFFFE == 0xFFFE or 0xFDD0 <= number <= 0xFDEF
    return is_noncharacter or unicodedata.category(char) in ("Cc", "Cs")
