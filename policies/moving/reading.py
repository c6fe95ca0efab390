"""A text file line by line, compressed with gzip or not."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from policies.moving.found import Unreadable

STDIN = Path("-")

_GZIP = b"\x1f\x8b"
_LONGEST = 65_536
"""Bytes of a line; what follows counts as another line, which will fit no pattern."""


def lines(path: Path) -> Iterator[str]:
    """The lines without their ends; what is no UTF-8 is replaced. `-` is standard input.

    Raises Unreadable.
    """
    try:
        with _opened(path) as file:
            is_gzip = file.peek(2)[:2] == _GZIP
            source = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_gzip else file
            while line := source.readline(_LONGEST):
                yield line.decode("utf-8", "replace").rstrip("\r\n")
    except (OSError, EOFError, zlib.error) as error:
        raise Unreadable(f"{path} cannot be read: {error}.") from error


def _opened(path: Path) -> BufferedReader:
    return sys.stdin.buffer if path == STDIN else path.open("rb")  # type: ignore[return-value]  # both read
