"""A copy of the SQLite database, made while it is in use, and put back (docs/backup.md).

The copy is an ordinary SQLite file. The secret key is not in it: whoever finds a backup must not
be able to make himself a login with it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

from django.core.management.base import CommandError
from django.db import connection, connections

from policies import occupancy, schema

EX_DATAERR = 65
EX_CANTCREAT = 73

ON_POSTGRESQL = (
    "The database is PostgreSQL, which has tools of its own:"
    " pg_dump --format=custom --file=FILE DATABASE, and pg_restore (docs/backup.md)."
)

_PROBLEMS_SHOWN = 5
_MAGIC = b"SQLite format 3\0"
_DAMAGED = frozenset({"SQLITE_CORRUPT", "SQLITE_NOTADB"})


class CannotBackUp(CommandError):
    """No copy was made."""

    def __init__(self, message: str, returncode: int = EX_CANTCREAT) -> None:
        super().__init__(message, returncode=returncode)


class CannotRestore(CommandError):
    """Nothing was replaced."""

    def __init__(self, message: str, returncode: int = EX_DATAERR) -> None:
        super().__init__(f"{message} Nothing was changed.", returncode=returncode)


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a database file. `due`: our migrations that it lacks."""

    size: int
    policies: int
    users: int
    due: tuple[str, ...]

    def __str__(self) -> str:
        size = f"{self.size / 1e6:,.1f} MB"
        return f"{self.policies:,} policies, {self.users:,} users, {size}"


def save(target: Path, *, overwrite: bool = False) -> Contents:
    """Copy the database to `target`, readable by its owner alone; what the copy holds.

    The copy is of one moment, and neither readers nor writers wait for it. It is written aside and
    put into its place when it is complete and sound. Raises CannotBackUp.
    """
    if connection.vendor != "sqlite":
        raise CannotBackUp(ON_POSTGRESQL)
    database = _database()
    if not database.exists():
        raise CannotBackUp(f"There is no database yet: {database} does not exist.")
    if target.exists() and (target.is_dir() or target.samefile(database)):
        raise CannotBackUp(f"{target} is no place for a backup: name a file that is not in use.")
    _refuse_existing(target, overwrite=overwrite)
    try:
        with _beside(target) as aside:
            with closing(_opened(database)) as source:
                _copy(source, aside)
            contents = _inspect(aside, "PRAGMA quick_check")
            _refuse_existing(target, overwrite=overwrite)
            aside.replace(target)
            _sync(target.parent)
    except OSError as error:
        raise CannotBackUp(f"{target} cannot be written: {error.strerror}.") from error
    except (sqlite3.Error, _Unsound) as error:
        raise CannotBackUp(f"The database cannot be copied: {error}.", EX_DATAERR) from error
    return contents


def look_at(source: Path) -> Contents:
    """What a restore of this file would bring. Reads all of it. Raises CannotRestore."""
    _refuse_source(source)
    with _told_of(source):
        return _inspect(source, "PRAGMA integrity_check")


def put_back(source: Path, now: datetime) -> tuple[Contents, Path | None]:
    """Put this file in place of the database; what it holds, and where the old one is kept.

    The file is copied, and checked as copied, before anything is replaced. Raises CannotRestore,
    and Occupied while anything of the product runs.
    """
    _refuse_source(source)
    database = _database()
    connections.close_all()
    with occupancy.alone(), _told_of(source), _beside(database) as aside:
        with closing(_opened(source, "ro")) as opened:
            _copy(opened, aside)
        contents = _inspect(aside, "PRAGMA integrity_check")
        kept = _set_aside(database, now) if database.exists() else None
        aside.replace(database)
        _sync(database.parent)
    return contents, kept


class _Unsound(Exception):
    """A file that SQLite can open but nobody should use."""


def _database() -> Path:
    return Path(connection.settings_dict["NAME"])


def _refuse_existing(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise CannotBackUp(f"{target} exists. Name another file, or replace it with --force.")


def _refuse_source(source: Path) -> None:
    if connection.vendor != "sqlite":
        raise CannotRestore(ON_POSTGRESQL)
    if not source.is_file():
        raise CannotRestore(f"{source} is no file.")
    database = _database()
    if database.exists() and source.samefile(database):
        raise CannotRestore(f"{source} is the database itself.")


@contextmanager
def _told_of(source: Path) -> Iterator[None]:
    """What goes wrong with a restore, as CannotRestore."""
    try:
        yield
    except schema.WrongSchema as error:
        raise CannotRestore(f"{source}: {error}", schema.EX_CONFIG) from error
    except OSError as error:
        raise CannotRestore(f"The database cannot be written: {error.strerror}.") from error
    except (sqlite3.Error, _Unsound) as error:
        raise CannotRestore(f"{source} is no sound database of ours: {error}.") from error


def _opened(path: Path, mode: str = "rw") -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode={mode}", uri=True, timeout=20)


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A new file for its owner alone, in the directory of `target`; gone after the block."""
    descriptor, name = tempfile.mkstemp(dir=target.absolute().parent, prefix=f".{target.name}-")
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(name + suffix).unlink(missing_ok=True)


def _copy(source: sqlite3.Connection, target: Path) -> None:
    with closing(_opened(target)) as copy:
        source.backup(copy)
        # One file that is complete by itself: a write-ahead log beside it would be lost.
        copy.execute("PRAGMA journal_mode=DELETE")
    _sync(target)


def _inspect(path: Path, check: str) -> Contents:
    """Raises sqlite3.Error, _Unsound, and WrongSchema for what only a newer program can read."""
    with closing(_opened(path, "ro")) as opened:
        problems = [str(row[0]) for row in opened.execute(check).fetchmany(_PROBLEMS_SHOWN)]
        if problems != ["ok"]:
            raise _Unsound("; ".join(problems))
        applied = opened.execute("SELECT name FROM django_migrations WHERE app = 'policies'")
        due = schema.missing_from({str(name) for (name,) in applied})
        (policies,) = opened.execute("SELECT COUNT(*) FROM policies_policyrecord").fetchone()
        (users,) = opened.execute("SELECT COUNT(*) FROM auth_user").fetchone()
    return Contents(path.stat().st_size, policies, users, tuple(due))


def _set_aside(database: Path, now: datetime) -> Path:
    """Give the database a second name, under which it stays; that name."""
    kept = database.with_name(f"{database.name}.before-restore-{now:%Y%m%dT%H%M%SZ}")
    if not _is_folded(database):
        # What is damaged can be kept only as it is. Its log must not meet the new file.
        for suffix in ("-wal", "-shm"):
            log = Path(f"{database}{suffix}")
            if log.exists():
                log.rename(f"{kept}{suffix}")
    kept.hardlink_to(database)
    return kept


def _is_folded(database: Path) -> bool:
    """Bring the write-ahead log into the file, which only one who is alone can do.

    False where the file is too damaged for it. Raises Occupied.
    """
    with database.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return False  # SQLite would delete the log of what it does not know
    try:
        with closing(_opened(database)) as opened:
            opened.execute("PRAGMA busy_timeout = 500")
            opened.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.Error as error:
        if getattr(error, "sqlite_errorname", "") in _DAMAGED:
            return False
        raise occupancy.Occupied(
            f"Something else has {database} open ({error}). Nothing was changed."
        ) from error
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
