"""A file of domains that an operator edits while the server runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from policies.mtasts.domain import parse_domain
from policies.mtasts.errors import DomainNameError

log = logging.getLogger(__name__)


class _Seen(NamedTuple):
    """What tells one version of a file from the next."""

    inode: int
    size: int
    changed: int


class DomainFile:
    """The domains in a file: one a line, A- or U-labels; what follows a "#" is a comment.

    A line that is no domain name is left out, and logged. A file that cannot be read any more
    keeps its last content in force, and is logged once: losing the list would change how mail is
    sent without anyone's wish.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: _Seen | None = None
        self._names: frozenset[str] = frozenset()
        self._complaint = ""

    def names(self) -> frozenset[str]:
        """The domains as they are now, as A-labels in lower case; read again if changed.

        Costs a stat() call otherwise. Threads may call it at once: at worst both read the file.
        """
        try:
            seen = self._version()
            if seen != self._seen:
                self._names = frozenset(self._read())
                self._seen = seen
            self._complaint = ""
        except (OSError, UnicodeDecodeError) as error:
            self._complain(str(error))
        return self._names

    def _version(self) -> _Seen:
        status = self._path.stat()
        return _Seen(status.st_ino, status.st_size, status.st_mtime_ns)

    def _read(self) -> Iterator[str]:
        lines = self._path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, start=1):
            name = line.partition("#")[0].strip()
            if not name:
                continue
            try:
                yield parse_domain(name).ascii
            except DomainNameError as error:
                log.warning(
                    "line left out",
                    extra={"file": self._path, "line": number, "reason": str(error)},
                )

    def _complain(self, problem: str) -> None:
        if problem != self._complaint:
            log.error(
                "file not read, its last content stays in force",
                extra={"file": self._path, "reason": problem},
            )
            self._complaint = problem
