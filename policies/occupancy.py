"""Who uses the SQLite file: many at a time, or one alone that replaces it.

Whatever runs for long or writes shares a lock on a file beside the database. The lock ends with
the process, however it ends. PostgreSQL needs none of it: nobody replaces its files behind its
back.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management.base import CommandError
from django.db import connection

EX_TEMPFAIL = 75

_held: dict[Path, int] = {}


class Occupied(CommandError):
    """The database is in use, or being replaced; the message says which."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=EX_TEMPFAIL)


def share() -> None:
    """This process uses the database until it ends. Raises Occupied during a restore."""
    if connection.vendor != "sqlite":
        return
    path = _lock_file()
    if path in _held:
        return
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Occupied("The database is being restored. Try again when that has ended.") from None
    _held[path] = descriptor


def forget() -> None:
    """This process is a fork that let go of its parent's locks: it has to share anew."""
    _held.clear()


@contextmanager
def alone() -> Iterator[None]:
    """Nobody else uses the database until the block ends. Raises Occupied."""
    descriptor = _open(_lock_file())
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Occupied(
                "The product is running on this database. Stop it first: web, worker and"
                " socketmap, and commands that are under way."
            ) from None
        yield
    finally:
        os.close(descriptor)


def _lock_file() -> Path:
    return Path(f"{connection.settings_dict['NAME']}.lock")


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
