"""What changed between two texts, line by line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest


class Kind(StrEnum):
    """What became of a line."""

    SAME = "same"
    ADDED = "added"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of either text, without its end."""

    kind: Kind
    text: str


MAX_LINES = 500
"""Longer texts are shown one after the other: comparing takes longer than linear time."""


def diff(before: str, after: str) -> list[Line]:
    """All lines of both, removed ones before those that took their place."""
    old, new = _lines(before), _lines(after)
    if len(old) > MAX_LINES or len(new) > MAX_LINES:
        removed = [Line(Kind.REMOVED, text) for text in old]
        return removed + [Line(Kind.ADDED, text) for text in new]
    return list(_compared(old, new))


def sides(before: str, after: str) -> list[tuple[Line | None, Line | None]]:
    """The lines of both in pairs: what stands in one only has nothing beside it."""
    pairs: list[tuple[Line | None, Line | None]] = []
    removed: list[Line] = []
    added: list[Line] = []
    for line in [*diff(before, after), Line(Kind.SAME, "")]:
        if line.kind is Kind.REMOVED:
            removed.append(line)
        elif line.kind is Kind.ADDED:
            added.append(line)
        else:
            pairs += zip_longest(removed, added)
            pairs.append((line, line))
            removed, added = [], []
    return pairs[:-1]


def _compared(old: list[str], new: list[str]) -> Iterator[Line]:
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, old, new).get_opcodes():
        if tag == "equal":
            yield from (Line(Kind.SAME, text) for text in old[i1:i2])
            continue
        yield from (Line(Kind.REMOVED, text) for text in old[i1:i2])
        yield from (Line(Kind.ADDED, text) for text in new[j1:j2])


def _lines(text: str) -> list[str]:
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")
