"""Whether the database is this program's: no newer program has changed it, none of ours is due.

Whatever runs for long, or writes, asks when it starts. A database that does not answer tells
nothing, and keeps nobody from starting: mail is answered without it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence, Set
from typing import Any

from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.core.management.base import CommandError
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.recorder import MigrationRecorder

from mtastsweb.environment import PROGRAM
from policies import migrations

EX_CONFIG = 78  # of sysexits.h

NEWER = "A newer program has changed the database ({names}), and this one could damage it."
NEWER_HINT = "Run that program, or restore a backup of the database from before its migration."
OLDER = "The database is not yet as this program needs it ({names})."
OLDER_HINT = f"Run `{PROGRAM} migrate`."


class WrongSchema(CommandError):
    """The database is another program's; the message says what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(message, returncode=EX_CONFIG)


def check() -> None:
    """Raises WrongSchema. Reads a table of a few rows, and writes nothing."""
    connection = connections["default"]
    try:
        applied = _applied(connection)
    except DatabaseError:
        return
    due = missing_from(applied)
    if due:
        raise WrongSchema(f"{OLDER.format(names=', '.join(due))} {OLDER_HINT}")


def missing_from(applied: Set[str]) -> list[str]:
    """Our migrations that a database lacks which has these. Raises WrongSchema for a newer one."""
    unknown, due = _compared(applied)
    if unknown:
        raise WrongSchema(f"{NEWER.format(names=', '.join(unknown))} {NEWER_HINT}")
    return due


@register(Tags.database)
def schema(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """For `manage.py check --database default`, and for `migrate`, which runs this check."""
    messages: list[CheckMessage] = []
    for alias in databases or ():
        unknown, _due = _compared(_applied(connections[alias]))
        if unknown:
            message = NEWER.format(names=", ".join(unknown))
            messages.append(checks.Error(message, hint=NEWER_HINT, id="mtasts.E003"))
    return messages


def _applied(connection: BaseDatabaseWrapper) -> set[str]:
    recorded = MigrationRecorder(connection).applied_migrations()
    return {name for app, name in recorded if app == "policies"}


def _compared(applied: Set[str]) -> tuple[list[str], list[str]]:
    """Our migrations that a database has and we do not know, and those that it lacks."""
    known = {module.name for module in pkgutil.iter_modules(migrations.__path__)}
    return sorted(applied - known), sorted(known - applied)
