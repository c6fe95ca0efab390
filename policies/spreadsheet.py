"""CSV (RFC 4180), line by line, so that any number of rows can be streamed."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator


class _Echo:
    """A file whose `write` gives back what it got."""

    def write(self, text: str) -> str:
        return text


def lines(rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """A line for each row."""
    writer = csv.writer(_Echo())
    for row in rows:
        yield writer.writerow(map(_cell, row))


def _cell(value: object) -> str:
    """As text that no spreadsheet takes for a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
