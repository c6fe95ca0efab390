"""The threat model as docs/security.md has it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtastsweb.environment import BASE_DIR

DOCS = BASE_DIR / "docs" / "security.md"

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(?:(\w+)::)?(test_\w+)`")


@dataclass(frozen=True)
class Line:
    """A line of defence. `tests`: file, class (empty for none) and function of each."""

    who: str
    tries: str
    tests: tuple[tuple[str, str, str], ...]


def lines() -> Iterator[Line]:
    who = ""
    for text in DOCS.read_text(encoding="utf-8").splitlines():
        if text.startswith("### "):
            who = text.removeprefix("### ")
        cells = [cell.strip() for cell in text.strip("|").split("|")]
        if text.startswith("|") and len(cells) == 3 and cells[0] not in ("tries", "---"):
            yield Line(who, cells[0], tuple(_TEST.findall(cells[2])))


def exists(test: tuple[str, str, str]) -> bool:
    """Whether there is such a test."""
    path, class_, function = test
    file = Path(BASE_DIR, path)
    return file.exists() and (class_, function) in _functions(file)


def _functions(file: Path) -> set[tuple[str, str]]:
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {(node.name, each.name) for each in node.body if _is_function(each)}
        elif _is_function(node):
            found.add(("", node.name))
    return found


def _is_function(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
