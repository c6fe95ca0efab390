"""What the documentation shows as something to type, or as what is then seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtastsweb.environment import BASE_DIR

COMMANDS = BASE_DIR / "docs" / "commands.md"
PAGES = [
    BASE_DIR / "README.md",
    BASE_DIR / "CONTRIBUTING.md",
    *sorted((BASE_DIR / "docs").glob("*.md")),
]

_ITEM = re.compile(r"(?:[-*]|[0-9]+\.) ")
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_IN_ITEM = " " * 4


@dataclass(frozen=True, slots=True)
class Shown:
    """A line of an indented block, or code within a line."""

    page: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(BASE_DIR)}:{self.number}: {self.text}"


@dataclass(frozen=True, slots=True)
class Fence:
    """A block between fences, and the language that it is said to be in."""

    page: Path
    number: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(BASE_DIR)}:{self.number}: {self.language}"


def shown() -> list[Shown]:
    """All lines of indented blocks, in the order in which a reader comes to them."""
    return [line for page in PAGES for line in _of(page) if isinstance(line, Shown)]


def fences() -> list[Fence]:
    return [fence for page in PAGES for fence in _of(page) if isinstance(fence, Fence)]


def spans() -> list[Shown]:
    """All code within lines."""
    return [
        Shown(page, number, span)
        for page in PAGES
        for number, line in _prose(page)
        for span in _SPAN.findall(line)
    ]


def synopses() -> list[str]:
    """The first column of docs/commands.md's table of commands."""
    rows = [line.split(" | ")[0] for line in COMMANDS.read_text().splitlines() if line[:3] == "| `"]
    return [span for row in rows for span in _SPAN.findall(row)]


def _prose(page: Path) -> Iterator[tuple[int, str]]:
    """What is in no block. A span may go over the end of a line; none here does."""
    blocks = {line.number for line in _of(page) if isinstance(line, Shown)}
    for fence in _of(page):
        if isinstance(fence, Fence):
            blocks |= set(range(fence.number, fence.number + fence.text.count("\n") + 2))
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if number not in blocks:
            yield number, line


def _of(page: Path) -> Iterator[Shown | Fence]:
    is_item = was_blank = is_block = False
    fence: Fence | None = None
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.lstrip().startswith("```"):
            if fence is not None:
                yield fence
            fence = None if fence else Fence(page, number, line.strip().strip("`"), "")
        elif fence is not None:
            fence = Fence(page, fence.number, fence.language, f"{fence.text}{line}\n")
        elif not line.strip():
            was_blank = True
        elif line.startswith(_IN_ITEM * (1 + is_item)) and (was_blank or is_block):
            is_block, was_blank = True, False
            yield Shown(page, number, line.strip())
        else:
            is_block = was_blank = False
            if not line.startswith(" "):
                is_item = _ITEM.match(line) is not None
    assert fence is None, f"{page}: a fence does not end"
