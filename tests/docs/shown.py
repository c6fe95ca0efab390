"""What the documentation shows as something to type, or as what is then seen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtastsweb.environment import BASE_DIR

PAGES = [
    BASE_DIR / "README.md",
    BASE_DIR / "CONTRIBUTING.md",
    *sorted((BASE_DIR / "docs").glob("*.md")),
]

_ITEM = re.compile(r"(?:[-*]|[0-9]+\.) ")


@dataclass(frozen=True, slots=True)
class Shown:
    """A line of an indented block."""

    page: Path
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(BASE_DIR)}:{self.number}: {self.text}"


def shown() -> list[Shown]:
    """All of them, in the order in which a reader comes to them."""
    return [line for page in PAGES for line in _of(page)]


def _of(page: Path) -> Iterator[Shown]:
    is_fenced = is_item = was_blank = is_block = False
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        if line.startswith("```"):
            is_fenced = not is_fenced
        elif is_fenced:
            continue
        elif not line.strip():
            was_blank = True
        elif line.startswith("    ") and (was_blank or is_block) and not is_item:
            is_block, was_blank = True, False
            yield Shown(page, number, line.strip())
        else:
            is_block = was_blank = False
            if not line.startswith(" "):
                is_item = _ITEM.match(line) is not None
